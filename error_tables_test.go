package kafka

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// The codes that Kafka's brokers are known to answer a consumer with, by the rows of the page.
var brokersCodes = map[string][]int{
	"ApiVersions":                             {35},
	"Metadata, as a whole":                    {129},
	"Metadata, a topic":                       {3, 5, 17, 29, 72, 100},
	"Metadata, a partition that has a leader": {5, 9},
	"Metadata, a topic: when to ask again":    {3, 5, 17, 29, 72, 100},
	"Fetch, as a whole":                       {70, 71, 106},
	"Fetch, a partition":                      {-1, 1, 2, 3, 6, 9, 29, 56, 74, 75, 76, 78, 100, 103, 109},
	"ListOffsets":                             {3, 5, 6, 9, 29, 35, 43, 56, 74, 75, 78},
	"OffsetForLeaderEpoch":                    {3, 5, 6, 9, 29, 56, 74, 75, 78},
	"FindCoordinator":                         {7, 14, 15, 24, 30},
	"OffsetCommit":                            {3, 7, 12, 14, 15, 16, 22, 25, 27, 28, 29, 30, 69, 82, 100, 113},
	"OffsetFetch":                             {3, 14, 15, 16, 25, 29, 30, 88, 100, 113},
	"JoinGroup":                               {14, 15, 16, 23, 24, 25, 26, 27, 30, 35, 79, 81, 82},
	"SyncGroup":                               {15, 16, 22, 23, 25, 27, 30, 82},
	"Heartbeat":                               {15, 16, 22, 25, 27, 30, 82},
	"LeaveGroup":                              {16, 25},
}

// TestErrors_EveryTableIsOnThePage holds the section "Error codes" of docs/internals.md to the code: it has every table of error
// codes there is, with every code in it, those that brokers are known to send among them, and the test that goes through it.
func TestErrors_EveryTableIsOnThePage(t *testing.T) {
	tables, tests, codesByName := make(map[string][]int), make(map[string]*ast.FuncDecl), readErrorCodes(t)
	for _, dir := range []string{".", "internal/cluster", "internal/broker"} {
		readErrorTables(t, dir, codesByName, tables, tests)
	}
	require.NotEmpty(t, tables)
	rows := errorCodeRows(t)
	var apis, named []string
	for _, row := range rows {
		api, table, test, codes := row[0], strings.Trim(row[1], "`"), strings.Trim(row[2], "`"), numbersIn(t, row[3])
		apis = append(apis, api)
		require.Subset(t, codes, brokersCodes[api], api)
		require.NotNil(t, tests[test], "%s: there is no test %s", api, test)
		if table == "—" {
			continue
		}
		named = append(named, table)
		require.Contains(t, tables, table, api)
		require.Equal(t, tables[table], codes, "the codes of %s", table)
		require.True(t, mentions(tests[test], table), "%s does not go through %s", test, table)
	}
	for api := range brokersCodes {
		require.Contains(t, apis, api)
	}
	for table := range tables {
		require.Contains(t, named, table, "a table that is not on the page")
	}
}

// errorCodeRows gives the rows of the page's table.
func errorCodeRows(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(statePage)
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Error codes\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if cells := tableCells(strings.TrimSpace(line)); cells != nil && cells[0] != "API" {
			require.Len(t, cells, 4, line)
			rows = append(rows, cells)
		}
	}
	require.NotEmpty(t, rows)
	return rows
}

func numbersIn(t *testing.T, text string) (numbers []int) {
	t.Helper()
	for _, s := range strings.Split(text, ", ") {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		numbers = append(numbers, n)
	}
	return numbers
}

// readErrorCodes gives package protocol's codes by the names of their constants.
func readErrorCodes(t *testing.T) map[string]int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "protocol/error_codes.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	codes := make(map[string]int)
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec)
			value, sign := v.Values[0], 1
			if minus, ok := value.(*ast.UnaryExpr); ok {
				value, sign = minus.X, -1
			}
			n, err := strconv.Atoi(value.(*ast.BasicLit).Value)
			require.NoError(t, err)
			codes[v.Names[0].Name] = sign * n
		}
	}
	require.Equal(t, int(protocol.CoordinatorNotAvailable), codes["CoordinatorNotAvailable"])
	return codes
}

// readErrorTables collects a folder's maps by error code, with their keys sorted, and its tests.
func readErrorTables(t *testing.T, dir string, codesByName map[string]int, tables map[string][]int, tests map[string]*ast.FuncDecl) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if strings.HasSuffix(path, "_test.go") {
					tests[d.Name.Name] = d
				}
			case *ast.GenDecl:
				if !strings.HasSuffix(path, "_test.go") {
					readErrorMaps(t, d, codesByName, tables)
				}
			}
		}
	}
}

// readErrorMaps collects those of a declaration's variables that are maps by error code.
func readErrorMaps(t *testing.T, d *ast.GenDecl, codesByName map[string]int, tables map[string][]int) {
	t.Helper()
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			continue
		}
		literal, ok := v.Values[0].(*ast.CompositeLit)
		if !ok {
			continue
		}
		if m, ok := literal.Type.(*ast.MapType); !ok || protocolName(m.Key) != "ErrorCode" {
			continue
		}
		var codes []int
		for _, e := range literal.Elts {
			name := protocolName(e.(*ast.KeyValueExpr).Key)
			require.Contains(t, codesByName, name)
			codes = append(codes, codesByName[name])
		}
		slices.Sort(codes)
		tables[v.Names[0].Name] = codes
	}
}

// protocolName gives X of protocol.X; "" for anything else.
func protocolName(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if pkg, ok := s.X.(*ast.Ident); !ok || pkg.Name != "protocol" {
		return ""
	}
	return s.Sel.Name
}

// mentions says whether a function uses a name.
func mentions(f *ast.FuncDecl, name string) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}
