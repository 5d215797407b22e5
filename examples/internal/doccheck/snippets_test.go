package doccheck

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```")

// imports are what snippets may use without an import of their own.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "slog": "log/slog", "time": "time", "os": "os", "json": "encoding/json",
	"protocol": "github.com/seed-7379b4e8/kafka/protocol",
}

// prelude is what snippets find already there, as the guide says.
const prelude = `
func process(msgs ...*kafka.Message) error { return nil }
func load(tp kafka.TopicPartition) int64 { return 0 }
`

// TestSnippetsBuild vets every Go block of every page: a whole program as it is, anything else as the body of a function
// with a ctx, a consumer and a partition.
func TestSnippetsBuild(t *testing.T) {
	dir := t.TempDir()
	built := 0
	for name, text := range pages(t) {
		var fragments []string
		for i, m := range goBlock.FindAllStringSubmatch(text, -1) {
			built++
			if strings.HasPrefix(m[1], "package ") {
				vet(t, dir, fmt.Sprintf("%s block %d", name, i+1), m[1])
				continue
			}
			fragments = append(fragments, m[1])
		}
		if len(fragments) > 0 {
			vet(t, dir, name, fragmentFile(fragments))
		}
	}
	require.Greater(t, built, 20)
}

// fragmentFile makes one file of the fragments of a page.
func fragmentFile(fragments []string) string {
	var body strings.Builder
	for i, f := range fragments {
		fmt.Fprintf(&body, "\nfunc fragment%d(ctx context.Context, consumer *kafka.Consumer, tp kafka.TopicPartition) error {\n%s", i+1, f)
		body.WriteString(ending(f))
		body.WriteString("}\n")
	}
	used := []string{`"context"`, `"github.com/seed-7379b4e8/kafka"`}
	for name, path := range imports {
		if name != "context" && regexp.MustCompile(`\b`+name+`\.[A-Z]`).MatchString(body.String()) {
			used = append(used, fmt.Sprintf("%q", path))
		}
	}
	slices.Sort(used)
	return "package main\n\nimport (\n" + strings.Join(used, "\n") + "\n)\n\nfunc main() {}\n" + prelude + body.String()
}

// ending completes a fragment: it uses what a reader would go on to use.
func ending(fragment string) string {
	var use []string
	for _, name := range []string{"err", "consumer", "batch"} {
		if regexp.MustCompile(`(?m)^(?:\w+, )*` + name + `(?:, \w+)* := `).MatchString(fragment) {
			use = append(use, "_ = "+name+"\n")
		}
	}
	return strings.Join(use, "") + "return nil\n"
}

// vet builds and vets a program inside the examples' module.
func vet(t *testing.T, dir, what, program string) {
	t.Helper()
	file := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "vet", "-unreachable=false", file)
	cmd.Dir = filepath.Join(root, "examples")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s does not build: %s\n%s", what, out, program)
}
