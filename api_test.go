package kafka

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The public API is written down in testdata/api.txt, as Go declarations without bodies. What programs are written against
// does not change by accident: a declaration that differs, is missing, or was not written down fails the test. Declarations
// behind the line "// Later" may be missing as yet.
func TestAPI_IsWhatIsWrittenDown(t *testing.T) {
	text, err := os.ReadFile("testdata/api.txt")
	require.NoError(t, err)
	now, later, ok := strings.Cut(string(text), "\n// Later\n")
	require.True(t, ok)
	promised, planned := declarations(t, "now", now), declarations(t, "later", later)
	have := packageDeclarations(t)
	for name, want := range promised {
		assert.Equal(t, want, have[name], name)
	}
	for name, want := range planned {
		if got, ok := have[name]; ok {
			assert.Equal(t, want, got, name)
		} else {
			t.Logf("not there yet: %s", name)
		}
	}
	for name := range have {
		if !expected(promised, name) && !expected(planned, name) {
			t.Errorf("%s is exported and not written down in testdata/api.txt", name)
		}
	}
}

// expected says whether name is among what is written down, or a method that errors and names have anyway.
func expected(written map[string]string, name string) bool {
	if _, ok := written[name]; ok {
		return true
	}
	of, method, _ := strings.Cut(name, ".")
	_, ok := written["type "+of]
	return ok && slices.Contains([]string{"Error", "Hint", "Unwrap", "String"}, method)
}

// Every error says what to do next, and gives its cause.
func TestAPI_EveryErrorTypeHasAHintAndACause(t *testing.T) {
	have := packageDeclarations(t)
	var found []string
	for name := range have {
		typ, ok := strings.CutPrefix(name, "type ")
		if !ok || !strings.HasSuffix(typ, "Error") {
			continue
		}
		found = append(found, typ)
		require.Equal(t, "*func() string", have[typ+".Error"], typ)
		require.Equal(t, "*func() string", have[typ+".Hint"], typ)
		require.Equal(t, "*func() error", have[typ+".Unwrap"], typ)
	}
	require.GreaterOrEqual(t, len(found), 10, "%v", found)
}

// packageDeclarations gives what this package exports.
func packageDeclarations(t *testing.T) map[string]string {
	pkg, err := build.ImportDir(".", 0)
	require.NoError(t, err)
	all := make(map[string]string)
	for _, file := range pkg.GoFiles {
		text, err := os.ReadFile(filepath.Clean(file))
		require.NoError(t, err)
		maps.Copy(all, declarations(t, file, string(text)))
	}
	return all
}

// declarations gives the exported declarations of Go text, by name. A method is called "Type.Method", a type "type Name";
// the names of parameters and unexported fields do not count.
func declarations(t *testing.T, name, text string) map[string]string {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	require.NoError(t, err)
	all := make(map[string]string)
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			key, star := d.Name.Name, ""
			if d.Recv != nil {
				var of string
				of, star = receiver(d.Recv.List[0].Type)
				if !ast.IsExported(of) {
					continue
				}
				key = of + "." + key
			}
			if d.Name.IsExported() {
				all[key] = star + source(files, nameless(d.Type))
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				specDeclarations(files, all, d.Tok, s)
			}
		}
	}
	return all
}

func specDeclarations(files *token.FileSet, all map[string]string, kind token.Token, s ast.Spec) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		text := ""
		if s.TypeParams != nil {
			for _, p := range s.TypeParams.List {
				for range max(1, len(p.Names)) {
					text += "[" + source(files, p.Type) + "]"
				}
			}
		}
		all["type "+s.Name.Name] = text + typeText(files, s.Type)
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() {
				all[n.Name] = kind.String()
			}
		}
	}
}

// receiver gives the name of a receiver's type, and "*" for a pointer.
func receiver(e ast.Expr) (name, star string) {
	if p, ok := e.(*ast.StarExpr); ok {
		e, star = p.X, "*"
	}
	switch x := e.(type) {
	case *ast.IndexExpr:
		e = x.X
	case *ast.IndexListExpr:
		e = x.X
	}
	return e.(*ast.Ident).Name, star
}

// typeText writes a type: of a struct the exported fields, of an interface the methods, one a line.
func typeText(files *token.FileSet, e ast.Expr) string {
	var fields *ast.FieldList
	kind := "struct"
	switch x := e.(type) {
	case *ast.StructType:
		fields = x.Fields
	case *ast.InterfaceType:
		fields, kind = x.Methods, "interface"
	case *ast.FuncType:
		return source(files, nameless(x))
	default:
		return source(files, e)
	}
	lines := []string{kind}
	for _, f := range fields.List {
		typ := f.Type
		if fn, ok := typ.(*ast.FuncType); ok {
			typ = nameless(fn)
		}
		if len(f.Names) == 0 {
			lines = append(lines, source(files, typ))
		}
		for _, n := range f.Names {
			if n.IsExported() {
				lines = append(lines, n.Name+" "+source(files, typ))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// nameless takes the names of parameters and results away.
func nameless(f *ast.FuncType) *ast.FuncType {
	strip := func(list *ast.FieldList) *ast.FieldList {
		if list == nil {
			return nil
		}
		out := &ast.FieldList{}
		for _, p := range list.List {
			for range max(1, len(p.Names)) {
				typ := p.Type
				if fn, ok := typ.(*ast.FuncType); ok {
					typ = nameless(fn)
				}
				out.List = append(out.List, &ast.Field{Type: typ})
			}
		}
		return out
	}
	return &ast.FuncType{TypeParams: f.TypeParams, Params: strip(f.Params), Results: strip(f.Results)}
}

// source prints an expression on one line.
func source(files *token.FileSet, e ast.Expr) string {
	var text strings.Builder
	if err := printer.Fprint(&text, files, e); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

// What api.txt cannot say: the types of values.
var (
	_ = []OffsetReset{ResetLatest, ResetEarliest, ResetNone, ResetByDuration(1)}
	_ = []IsolationLevel{ReadUncommitted, ReadCommitted}
	_ = []TimestampType{CreateTime, LogAppendTime, NoTimestamp}
	_ = []DeserializationSide{KeySide, ValueSide}
	_ = []GroupProtocol{ClassicProtocol, ConsumerProtocol}
	_ = []Assignor{RangeAssignor, RoundRobinAssignor, StickyAssignor, CooperativeStickyAssignor}
	_ = []error{ErrConsumerStopped, ErrNotStarted, ErrIllegalState}
	_ = []Deserializer[[]byte]{Bytes}
	_ = []Deserializer[string]{String}
	_ = []Deserializer[int64]{Int64}
	_ = []Deserializer[struct{}]{JSON[struct{}]()}

	_ RebalanceListener = RebalanceFuncs{}
)
