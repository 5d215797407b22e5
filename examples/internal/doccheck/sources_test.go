package doccheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sources parses the library's own files, without tests.
func sources(t *testing.T, dirs ...string) (*token.FileSet, []*ast.File) {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		require.NoError(t, err)
		for _, e := range entries {
			if !isSource(e) {
				continue
			}
			f, err := parser.ParseFile(set, filepath.Join(root, dir, e.Name()), nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, f)
		}
	}
	require.NotEmpty(t, files)
	return set, files
}

func isSource(e fs.DirEntry) bool {
	return strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go")
}

// TestEveryErrorHasARow compares errors.md with the error types and sentinels of the package.
func TestEveryErrorHasARow(t *testing.T) {
	text := page(t, "docs/errors.md")
	_, files := sources(t, ".")
	found := 0
	for _, f := range files {
		for _, d := range f.Decls {
			for _, name := range errorNames(d) {
				found++
				require.True(t, strings.Contains(text, "\n| `"+name+"` |"), "docs/errors.md has no row for %s", name)
			}
		}
	}
	require.Greater(t, found, 10)
	require.Equal(t, found, strings.Count(text, "\n| `"), "docs/errors.md has rows for errors that are not there")
}

// errorNames gives the exported errors that a declaration makes, as the page names them.
func errorNames(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl: // func (e *XError) Error() string
		if d.Recv == nil || d.Name.Name != "Error" {
			return nil
		}
		if star, ok := d.Recv.List[0].Type.(*ast.StarExpr); ok {
			if id, ok := star.X.(*ast.Ident); ok && id.IsExported() {
				names = append(names, "*"+id.Name)
			}
		}
	case *ast.GenDecl: // var ErrX = …
		for _, s := range d.Specs {
			if v, ok := s.(*ast.ValueSpec); ok && d.Tok == token.VAR {
				for _, id := range v.Names {
					if strings.HasPrefix(id.Name, "Err") {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

// TestEveryLogLineIsExplained compares operations.md with the messages that the sources log.
func TestEveryLogLineIsExplained(t *testing.T) {
	text := page(t, "docs/operations.md")
	_, files := sources(t, ".", "internal/cluster", "internal/broker")
	messages := make(map[string]bool)
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			for _, m := range logged(n) {
				messages[m] = true
			}
			return true
		})
	}
	require.Greater(t, len(messages), 10)
	for _, row := range logRow.FindAllStringSubmatch(text, -1) {
		require.True(t, messages[row[1]], "docs/operations.md explains %q, which is not logged", row[1])
		delete(messages, row[1])
	}
	require.Empty(t, messages, "docs/operations.md does not explain these")
}

var logRow = regexp.MustCompile("(?m)^\\| (?:DEBUG|INFO|WARN|ERROR) \\| `(.*?)` \\|")

// logged gives the constant messages that a node logs: calls of a logger's methods, and logEvents.
func logged(n ast.Node) (out []string) {
	var args []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		switch {
		case ok && sel.Sel.Name == "Log" && len(n.Args) > 2: // ctx, level, message
			args = n.Args[2:3]
		case ok && sel.Sel.Name == "wentWrong" && len(n.Args) > 1: // level, message
			args = n.Args[1:2]
		case ok && strings.Contains(" Debug Info Warn Error ", " "+sel.Sel.Name+" "):
			args = n.Args[:min(1, len(n.Args))]
		}
	case *ast.CompositeLit:
		if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "logEvent" {
			return nil
		}
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				e = kv.Value
			}
			args = append(args, e)
		}
	}
	for _, a := range args {
		if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}
