package doccheck

import (
	"fmt"
	"go/ast"
	"go/printer"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka"
)

// An option as its documentation describes it.
type option struct{ name, signature, defaults, limits string }

var (
	defaultText = regexp.MustCompile(`Default: (.+?)(?:\.(?:\s|$)|; )`)
	rangeText   = regexp.MustCompile(`Range: (.+?)\.(?:\s|$)`)
	docLink     = regexp.MustCompile(`\[\*?([^\]]+)\]`)
)

// options reads the ConsumerOptions from the sources.
func options(t *testing.T) (out []option) {
	set, files := sources(t, ".")
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "With") || !gives(fn, "ConsumerOption") {
				continue
			}
			var params strings.Builder
			require.NoError(t, printer.Fprint(&params, set, fn.Type))
			signature := fn.Name.Name + strings.TrimSuffix(strings.TrimPrefix(params.String(), "func"), " ConsumerOption")
			doc := docLink.ReplaceAllString(strings.Join(strings.Fields(fn.Doc.Text()), " "), "$1")
			o := option{name: fn.Name.Name, signature: signature}
			if m := defaultText.FindStringSubmatch(doc); m != nil {
				o.defaults = m[1]
			}
			if m := rangeText.FindStringSubmatch(doc); m != nil {
				o.limits = m[1]
			}
			out = append(out, o)
		}
	}
	require.Greater(t, len(out), 20)
	return out
}

func gives(fn *ast.FuncDecl, result string) bool {
	if fn.Type.Results == nil || len(fn.Type.Results.List) != 1 {
		return false
	}
	id, ok := fn.Type.Results.List[0].Type.(*ast.Ident)
	return ok && id.Name == result
}

// TestEveryOptionHasARow compares configuration.md with the options and their documentation.
func TestEveryOptionHasARow(t *testing.T) {
	rows := make(map[string][]string)
	for line := range strings.Lines(page(t, "docs/configuration.md")) {
		if strings.HasPrefix(line, "| `With") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			name, _, _ := strings.Cut(strings.Trim(cells[0], "`"), "(")
			require.Len(t, cells, 4, line)
			require.NotEmpty(t, cells[3], "what %s does", name)
			rows[name] = cells
		}
	}
	for _, o := range options(t) {
		cells := rows[o.name]
		require.NotNil(t, cells, "docs/configuration.md has no row for %s", o.name)
		require.Equal(t, "`"+o.signature+"`", cells[0])
		if o.defaults != "" {
			require.Equal(t, o.defaults, cells[1], "default of %s", o.name)
		}
		if o.limits != "" {
			require.Contains(t, cells[2], o.limits, "range of %s", o.name)
		}
		delete(rows, o.name)
	}
	require.Empty(t, rows, "rows for options that are not there")
}

// TestMigrationNamesOptionsThatThereAre checks the right-hand side of the table of Kafka's names.
func TestMigrationNamesOptionsThatThereAre(t *testing.T) {
	there := make(map[string]bool)
	for _, o := range options(t) {
		there[o.name] = true
	}
	_, table, ok := strings.Cut(page(t, "docs/migration.md"), "## Options by Kafka's names")
	require.True(t, ok)
	named := regexp.MustCompile("`(With[A-Za-z]+)`").FindAllStringSubmatch(table, -1)
	require.Greater(t, len(named), 20)
	for _, m := range named {
		require.True(t, there[m[1]], "docs/migration.md names %s", m[1])
	}
}

// TestNewConsumerAcceptsTheRanges tries both ends of every range that configuration.md states, and what lies beyond.
func TestNewConsumerAcceptsTheRanges(t *testing.T) {
	const mib, day = 1 << 20, 24 * time.Hour
	largest := kafka.WithMaxBufferedBytes(4 * math.MaxInt32)
	ranges := []struct {
		name           string
		with           func(n int) kafka.ConsumerOption
		low, high      int
		below, beyond  bool // there is something out of range at that end
		together       []kafka.ConsumerOption
		documentedWith string
	}{
		{"WithFetchMinBytes", kafka.WithFetchMinBytes, 1, math.MaxInt32, true, true, []kafka.ConsumerOption{kafka.WithFetchMaxBytes(math.MaxInt32)}, "1 to 2 GiB−1"},
		{"WithFetchMaxBytes", kafka.WithFetchMaxBytes, 1, math.MaxInt32, true, true, nil, "1 to 2 GiB−1"},
		{"WithMaxPartitionFetchBytes", kafka.WithMaxPartitionFetchBytes, 1, math.MaxInt32, true, true, nil, "1 to 2 GiB−1"},
		{"WithMaxPollRecords", kafka.WithMaxPollRecords, 0, math.MaxInt32, true, true, nil, "0 to 2147483647"},
		{"WithMaxBufferedBytes", kafka.WithMaxBufferedBytes, 128 * mib, math.MaxInt64, true, false, nil, "four times WithMaxBatchBytes and up"},
		{"WithMaxBatchBytes", kafka.WithMaxBatchBytes, 1 << 10, 32 * mib, true, true, nil, "1 KiB to a quarter"},
		{"WithMaxBatchBytes", kafka.WithMaxBatchBytes, 1 << 10, math.MaxInt32, true, true, []kafka.ConsumerOption{largest}, "1 KiB to a quarter"},
		{"WithFetchMaxWait", times(kafka.WithFetchMaxWait), int(time.Millisecond), int(time.Hour), true, true, nil, "1 ms to 1 hour"},
		{"WithRequestTimeout", times(kafka.WithRequestTimeout), int(10 * time.Millisecond), int(time.Hour), true, true, nil, "10 ms to 1 hour"},
		{"WithConnectTimeout", times(kafka.WithConnectTimeout), int(time.Millisecond), int(time.Hour), true, true, nil, "1 ms to 1 hour"},
		{"WithRetryBackoff", func(n int) kafka.ConsumerOption { return kafka.WithRetryBackoff(time.Duration(n), time.Duration(n)) },
			int(time.Millisecond), int(time.Hour), true, true, nil, "1 ms to 1 hour"},
		{"WithMetadataMaxAge", times(kafka.WithMetadataMaxAge), int(10 * time.Millisecond), int(day), true, true, nil, "10 ms to 24 hours"},
		{"WithConnectionsMaxIdle", times(kafka.WithConnectionsMaxIdle), int(10 * time.Millisecond), int(365 * day), true, true, nil, "10 ms to 365 days"},
		{"WithAutoCommitInterval", times(kafka.WithAutoCommitInterval), int(time.Millisecond), int(day), true, true, nil, "1 ms to 24 hours"},
		{"WithSessionTimeout", times(kafka.WithSessionTimeout), int(3*time.Second) + 1, int(time.Hour), true, true, nil, "1 ms to 1 hour"},
		{"WithHeartbeatInterval", times(kafka.WithHeartbeatInterval), int(time.Millisecond), int(45*time.Second) - 1, true, true, nil, "1 ms up to below the session timeout"},
		{"WithMaxPollInterval", times(kafka.WithMaxPollInterval), int(time.Millisecond), int(24 * day), true, true, nil, "1 ms to 24 days"},
		{"WithRebalanceTimeout", times(kafka.WithRebalanceTimeout), int(time.Millisecond), int(24 * day), true, true, nil, "1 ms to 24 days"},
		{"WithRevokeGrace", times(kafka.WithRevokeGrace), 0, int(150 * time.Second), true, true, nil, "0, which is no wait, to half the rebalance timeout"},
		{"WithAutoOffsetReset", func(n int) kafka.ConsumerOption {
			return kafka.WithAutoOffsetReset(kafka.ResetByDuration(time.Duration(n)))
		}, 1, math.MaxInt64, true, false, nil, "more than 0"},
	}
	text := page(t, "docs/configuration.md")
	for _, r := range ranges {
		t.Run(r.name, func(t *testing.T) {
			row := regexp.MustCompile("(?m)^\\| `" + r.name + `\(.*$`).FindString(text)
			require.Contains(t, row, r.documentedWith)
			make := func(n int) error {
				_, err := kafka.NewConsumer(append(r.together, r.with(n))...)
				return err
			}
			require.NoError(t, make(r.low))
			require.NoError(t, make(r.high))
			for _, n := range outside(r.low, r.high, r.below, r.beyond) {
				var bad *kafka.ConfigError
				require.ErrorAs(t, make(n), &bad, fmt.Sprint(n))
				require.Equal(t, r.name, bad.Option)
			}
		})
	}
}

// outside gives the values next to a range.
func outside(low, high int, below, beyond bool) (out []int) {
	if below {
		out = append(out, low-1)
	}
	if beyond {
		out = append(out, high+1)
	}
	return out
}

func times(with func(time.Duration) kafka.ConsumerOption) func(int) kafka.ConsumerOption {
	return func(n int) kafka.ConsumerOption { return with(time.Duration(n)) }
}
