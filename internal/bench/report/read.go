package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/seed-7379b4e8/kafka/internal/bench/topic"
)

// Read puts what was run at several times, for different topics, clients or settings, into one. They must be of one commit, one
// server and one baseline; the machine's line is that of the first. Rounds of one file are not those of another.
func Read(files ...string) (*Bench, error) {
	var all *Bench
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var b Bench
		if err := json.Unmarshal(data, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if all == nil {
			all = &b
			continue
		}
		if b.Commit != all.Commit || b.Server != all.Server || b.Baseline != all.Baseline {
			return nil, fmt.Errorf("%s is of another commit, server or baseline than %s", name, files[0])
		}
		all.add(&b)
	}
	return all, nil
}

func (b *Bench) add(o *Bench) {
	for _, c := range o.Cases {
		if !slices.ContainsFunc(b.Cases, func(had topic.Case) bool { return had.Title == c.Title }) {
			b.Cases = append(b.Cases, c)
		}
	}
	if b.Skipped == nil {
		b.Skipped = map[string]string{}
	}
	maps.Copy(b.Skipped, o.Skipped)
	rounds := 0
	for _, r := range b.Runs {
		rounds = max(rounds, r.Round+1)
	}
	for _, r := range o.Runs {
		r.Round += rounds
		b.Runs = append(b.Runs, r)
	}
}
