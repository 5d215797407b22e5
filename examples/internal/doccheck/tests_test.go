package doccheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	testNamed   = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9_]+)`")
	testDefined = regexp.MustCompile(`(?m)^func (Test[A-Z][A-Za-z0-9_]+)\(`)
)

// TestEveryTestThatIsNamedIsThere: the pages name tests as their evidence.
func TestEveryTestThatIsNamedIsThere(t *testing.T) {
	there := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range testDefined.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	}))
	named := 0
	for name, text := range pages(t) {
		for _, m := range testNamed.FindAllStringSubmatch(text, -1) {
			require.True(t, there[m[1]], "%s names %s, which is not there", name, m[1])
			named++
		}
	}
	require.Greater(t, named, 30)
}
