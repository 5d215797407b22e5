package doccheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the folder of the library, seen from here.
const root = "../../.."

// pages gives every page of documentation by its path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			name, err := filepath.Rel(root, file)
			require.NoError(t, err)
			out[name] = string(text)
		}
	}
	require.Contains(t, out, "README.md")
	require.Contains(t, out, "docs/guide.md")
	return out
}

func page(t *testing.T, name string) string {
	t.Helper()
	return pages(t)[name]
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := m[1]
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			path := name
			if file != "" {
				path = filepath.Join(filepath.Dir(name), file)
				_, err := os.Stat(filepath.Join(root, path))
				require.NoError(t, err, "%s links to %s", name, target)
			}
			if anchor != "" {
				require.Contains(t, anchors(all[path]), anchor, "%s links to %s", name, target)
			}
		}
	}
}

var (
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence    = regexp.MustCompile("(?ms)^```.*?^```")
	unlinked = regexp.MustCompile("[^a-z0-9 _-]")
)

// anchors gives the names under which a page's headings can be linked to.
func anchors(text string) (out []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := unlinked.ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}

func TestReadmeFitsTwoScreens(t *testing.T) {
	require.LessOrEqual(t, strings.Count(page(t, "README.md"), "\n"), 110)
}

func TestReadmeNamesTheExamplesThatThereAre(t *testing.T) {
	guide := page(t, "docs/guide.md")
	dirs, err := filepath.Glob(filepath.Join(root, "examples/*/main.go"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		name := filepath.Base(filepath.Dir(dir))
		if name != "demo" {
			require.Contains(t, guide, "../examples/"+name+")", "the guide leads to every example")
		}
		require.FileExists(t, filepath.Join(filepath.Dir(dir), "main_test.go"), "every example is run by a test")
	}
}
