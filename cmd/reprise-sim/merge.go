package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
)

func newMerge() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "merge FILE...",
		Short: "Join what several 'run --json' have printed, and sum up",
		Long: `Join what several 'run --json' have printed, and sum up as one run of all their seeds
would. A seed that stands in several files counts once; if its traces differ, that
is a failure.`,
		Example: `  reprise-sim run --seeds 1..9000 --shard 0/3 --json > 0.jsonl
  reprise-sim merge 0.jsonl 1.jsonl 2.jsonl`,
		Args: files(maxShards),
		RunE: func(cmd *cobra.Command, names []string) error {
			m := &merged{bySeed: make(map[uint64]*outcome)}
			for _, name := range names {
				if err := m.read(name); err != nil {
					return err
				}
			}
			if asJSON {
				return m.writeJSON(cmd.OutOrStdout())
			}
			return m.write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the joined lines, by seed, instead of text")
	return cmd
}

// merged is outcomes from several files.
type merged struct {
	bySeed map[uint64]*outcome
}

func (m *merged) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for lines := json.NewDecoder(f); ; {
		o := &outcome{}
		err := lines.Decode(o)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w; 'run --json' prints what can be merged", name, err)
		case o.Verdict == "":
			return fmt.Errorf("%s: a line without a verdict; 'run --json' prints what can be merged", name)
		}
		m.add(o)
	}
}

// add takes an outcome in.
func (m *merged) add(o *outcome) {
	before := m.bySeed[o.Seed]
	switch {
	case before == nil:
		m.bySeed[o.Seed] = o
	case before.Trace != o.Trace && !slices.Contains(before.Anomalies, nondeterminism):
		before.Verdict = checker.Fail
		before.Anomalies = append([]string{nondeterminism}, before.Anomalies...)
		before.Witness = fmt.Sprintf("trace %s in one file, %s in another: of one program, or of two?", before.Trace, o.Trace)
	}
}

// write tells of what did not pass, and sums up.
func (m *merged) write(w io.Writer) error {
	t := newTally()
	for _, seed := range slices.Sorted(maps.Keys(m.bySeed)) {
		o := m.bySeed[seed]
		t.add(o)
		t.took += time.Duration(o.WallMs) * time.Millisecond
		if o.Verdict != checker.Pass {
			fmt.Fprint(w, o.describe(again(task{Seed: seed})))
		}
	}
	fmt.Fprint(w, t.summary())
	if t.failed() {
		return cli.ErrSilent
	}
	return nil
}

func (m *merged) writeJSON(w io.Writer) error {
	lines := json.NewEncoder(w)
	for _, seed := range slices.Sorted(maps.Keys(m.bySeed)) {
		if err := lines.Encode(m.bySeed[seed]); err != nil {
			return err
		}
	}
	return nil
}
