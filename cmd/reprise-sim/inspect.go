package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim"
	"github.com/reprise-mq/reprise/sim/plan"
)

// judging says how a recorded history is judged.
type judging struct{ retention bool }

// on gives a command the flags.
func (j *judging) on(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&j.retention, "retention", false,
		"topics give old records up by themselves, which a history from elsewhere may not say")
}

func (j *judging) options() checker.Options {
	return checker.Options{Thresholds: checker.Recorded(), Retention: j.retention}
}

func newCheck() *cobra.Command {
	var how judging
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Judge recorded histories again",
		Long: `Judge recorded histories (JSON Lines) again, from what the clients saw alone.

A history in which nothing is wrong passes if something was acknowledged in it and all
that was has been read, by a final read or by anybody; otherwise it proves too little and
is weak. Where a judge ran out of its budget it is unknown. The exit code is 0 only if all
FILEs pass.`,
		Example: "  reprise-sim check failures/seed-7.history.jsonl",
		Args:    files(1 << 20),
		RunE: func(cmd *cobra.Command, names []string) error {
			failed := false
			for _, name := range names {
				h, err := readHistory(name)
				if err != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", cmd.Root().Name(), err)
					failed = true
					continue
				}
				report := checker.Check(h, nil, how.options())
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", name)
				if err := checker.Explain(cmd.OutOrStdout(), h, &report); err != nil {
					return err
				}
				failed = failed || report.Verdict != checker.Pass
			}
			if failed {
				return cli.ErrSilent
			}
			return nil
		},
	}
	how.on(cmd)
	return cmd
}

func readHistory(name string) (*histories.History, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	h, err := histories.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return h, nil
}

func newInspect() *cobra.Command {
	var of chosen
	var how judging
	var out string
	var text bool
	cmd := &cobra.Command{
		Use:   "inspect [FILE]",
		Short: "Show what happened in a run: the verdict, the faults, the life of a record",
		Long: `Show what happened in a run: the verdict in plain words with its witness, the faults
and changes of leader in order, and the life of the record concerned.

FILE is a plan, or any file of a run that 'run --save' has kept, or a recorded
history (JSON Lines). With --out, a page with the picture of the partition that the
verdict is about is written too.`,
		Example: `  reprise-sim inspect --seed 7
  reprise-sim inspect --workload group --seed 7
  reprise-sim inspect failures/seed-7.plan.json --out report.html`,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := inspected(args, &of, &how)
			if err != nil {
				return err
			}
			if out != "" {
				if err := a.picture(out); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "written: %s\n", out)
			}
			if out == "" || text {
				return a.write(cmd.OutOrStdout())
			}
			return nil
		},
	}
	of.on(cmd, "run this seed and show it")
	how.on(cmd)
	flags := cmd.Flags()
	flags.StringVar(&out, "out", "", "write the picture of the partition concerned to this HTML `file`")
	flags.BoolVar(&text, "text", false, "print the account (the default without --out)")
	return cmd
}

// account is a run and what is to be said of it.
type account struct {
	plan    *plan.Plan  // nil for a history from elsewhere
	result  *sim.Result // likewise
	history *histories.History
	report  checker.Report
}

func newAccount(p *plan.Plan, r *sim.Result) *account {
	return &account{plan: p, result: r, history: r.History, report: r.Report}
}

// inspected runs what is to be shown, or reads it.
func inspected(args []string, of *chosen, how *judging) (*account, error) {
	if len(args) == 0 {
		p, err := of.generate()
		if err != nil {
			return nil, err
		}
		return newAccount(p, sim.Run(p, sim.Options{})), nil
	}
	name := planOf(args[0])
	p, err := readPlan(name)
	if err == nil {
		return newAccount(p, sim.Run(p, sim.Options{})), nil
	}
	h, other := readHistory(args[0])
	switch {
	case other == nil:
		return &account{history: h, report: checker.Check(h, nil, how.options())}, nil
	case strings.HasSuffix(args[0], ".jsonl"):
		return nil, other
	case errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	return nil, fmt.Errorf("%s is neither a plan nor a history: %w; and %w", args[0], err, other)
}

// write writes the account in plain words.
func (a *account) write(w io.Writer) error {
	var b strings.Builder
	if a.result != nil {
		fmt.Fprintf(&b, "seed %d: %s, trace %s\n", a.plan.Seed, a.result.Verdict, a.result.Trace)
		if v := a.result.Violation; v != nil {
			at := int64(v.At/env.Millisecond) - a.result.Counts.ReadyMillis
			fmt.Fprintf(&b, "%s at %d ms: %s\n", v.Name, at, v.Message)
		}
		b.WriteString("\nWhat happened (milliseconds since the cluster was ready):\n")
		for _, e := range a.result.Story {
			fmt.Fprintf(&b, "%10d  %-9s %s\n", e.At, e.Who, e.What)
		}
		a.biography(&b)
		b.WriteString("\nWhat the clients saw:\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return checker.Explain(w, a.history, &a.report)
}

// biography writes the life of the record that an oracle's finding is about, if it
// is about one; those that the checker's findings are about it tells itself.
func (a *account) biography(b *strings.Builder) {
	record := a.result.Concerned
	if record == nil {
		return
	}
	fmt.Fprintf(b, "\nThe life of value %d, acknowledged at offset %d of %v:\n", record.Value, record.Offset, record.Key)
	for _, line := range checker.Biography(a.history, record.Key, record.Offset, record.Value) {
		fmt.Fprintf(b, "    %s\n", line)
	}
}

// picture writes porcupine's picture of the partition that the verdict is about,
// or else of the first that a client has asked.
func (a *account) picture(name string) error {
	if len(a.report.Partitions) == 0 {
		return errors.New("the history has no partition to draw")
	}
	first := max(0, slices.IndexFunc(a.report.Partitions, func(p checker.PartitionReport) bool { return p.Appends+p.Reads+p.StartReads > 0 }))
	key := checker.Key{Topic: a.report.Partitions[first].Topic, Partition: a.report.Partitions[first].Partition}
	if a.result != nil && a.result.Concerned != nil {
		key = a.result.Concerned.Key
	}
	for _, anomaly := range a.report.Anomalies {
		if anomaly.Topic != "" {
			key = checker.Key{Topic: anomaly.Topic, Partition: anomaly.Partition}
			break
		}
	}
	return writeFile(name, func(w io.Writer) error { return checker.Visualize(w, a.history, key, &a.report) })
}

// writeFile writes a file and says if any part of that failed.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Close())
	if err != nil {
		_ = os.Remove(name) // half of it is of no use
	}
	return err
}
