package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim/plan"
)

// runFlags are those of run and replay.
type runFlags struct {
	seed  uint64
	seeds string
	// scenario that the plans consist of; "" for standard plans.
	scenario string
	// workload of the plans; "" for what the seeds draw.
	workload string
	// unrestricted: plans that keep no majority from damage.
	unrestricted bool
	jobs         int
	plan         string
	save         string
	trace        string
	json         bool
	// blackBox: the oracles judge nothing.
	blackBox bool
	// twice: each seed in two processes, whose traces must be the same.
	twice bool
	shard string
}

func newRun() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run seeds, or a plan, and give a verdict on each",
		Long: `Run seeds, or a plan, and give a verdict on each.

A seed determines a plan: the nodes, what the clients do, what goes wrong and when.
The same seed gives the same run, bit for bit, and the same trace hash.`,
		Example: `  reprise-sim run --seeds 1..200 --jobs 2
  reprise-sim run --seed 7 --trace seed-7.trace
  reprise-sim run --seeds 1..1000 --save failures --json > outcomes.jsonl
  reprise-sim run --seeds 1..1000 --shard 2/10 --json > part-2.jsonl
  reprise-sim run --seeds 1..50 --twice
  reprise-sim run --scenario double-failover --seeds 1..20
  reprise-sim run --workload retention --seeds 1..20
  reprise-sim run --unrestricted --seeds 1..20
  reprise-sim run --plan failures/seed-7.plan.json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 0, "run this seed")
	flags.StringVar(&f.seeds, "seeds", "", "run the seeds `A..B`, both included")
	flags.StringVar(&f.scenario, "scenario", "", "run plans that consist of the scenario of this `name`; 'scenarios' lists them")
	flags.StringVar(&f.workload, "workload", "", "run plans with the workload of this `name`: log, retention, group, membership or mixed; otherwise each seed draws one")
	flags.BoolVar(&f.unrestricted, "unrestricted", false, "let damage hit any number of nodes: they may refuse to serve, but what they serve must be right")
	flags.IntVar(&f.jobs, "jobs", runtime.NumCPU(), "how many to run at the same time")
	flags.StringVar(&f.plan, "plan", "", "run the plan in this `file`")
	flags.StringVar(&f.save, "save", "", "keep plan, history and account of each failure in this `folder`")
	flags.BoolVar(&f.json, "json", false, "print one JSON object per seed instead of text")
	flags.StringVar(&f.trace, "trace", "", "write everything that happens to this `file`, one line each (one seed only)")
	flags.BoolVar(&f.blackBox, "black-box", false, "judge by what the clients saw alone, and let a run go on whatever the oracles find")
	flags.BoolVar(&f.twice, "twice", false, "run each seed in two processes that are scheduled and collected otherwise, and compare the traces")
	flags.StringVar(&f.shard, "shard", "", "run only part `I/N` of the seeds, from 0/N to N-1/N; 'merge' joins what --json prints")
	cmd.MarkFlagsMutuallyExclusive("seed", "seeds", "plan")
	cmd.MarkFlagsMutuallyExclusive("scenario", "plan", "unrestricted", "workload")
	return cmd
}

func newReplay() *cobra.Command {
	f := &runFlags{jobs: 1}
	cmd := &cobra.Command{
		Use:     "replay FILE",
		Short:   "Run a saved plan or failing run again",
		Example: "  reprise-sim replay failures/seed-7.plan.json",
		Args:    files(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.plan = planOf(args[0])
			return f.run(cmd)
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object instead of text")
	cmd.Flags().StringVar(&f.trace, "trace", "", "write everything that happens to this `file`, one line each")
	return cmd
}

// planOf names the plan that was kept beside any file of a kept run.
func planOf(name string) string {
	for _, suffix := range []string{".history.jsonl", ".txt"} {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			return stem + ".plan.json"
		}
	}
	return name
}

// run carries the command out.
func (f *runFlags) run(cmd *cobra.Command) error {
	first, last, err := f.chosen(cmd)
	if err != nil {
		return err
	}
	if f.scenario != "" {
		if _, err := plan.GenerateScenario(f.scenario, first); err != nil {
			return cli.Usagef("--scenario: %v", err)
		}
	}
	if f.workload != "" {
		if _, err := plan.GenerateWorkload(f.workload, first); err != nil {
			return cli.Usagef("--workload: %v", err)
		}
	}
	one := first == last
	part, err := parseShard(f.shard)
	switch {
	case err != nil:
		return err
	case f.jobs < 1:
		return cli.Usagef("--jobs %d: at least 1 is needed", f.jobs)
	case f.trace != "" && !one:
		return cli.Usagef("--trace is for one seed: %d are asked for", last-first+1)
	case f.plan != "":
		p, err := readPlan(f.plan)
		if err != nil {
			return err
		}
		first, last = p.Seed, p.Seed
	}
	b := newBoard(cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
	seed, count, step := part.seeds(first, last)
	b.of = fmt.Sprintf(" of %d", count)
	tasks := make(chan task)
	go func() {
		defer close(tasks)
		for range count {
			select {
			case tasks <- f.task(seed):
			case <-cmd.Context().Done():
				return
			}
			seed += step
		}
	}()
	return b.play(cmd.Context(), tasks, one)
}

// chosen gives the seeds to run.
func (f *runFlags) chosen(cmd *cobra.Command) (first, last uint64, err error) {
	switch {
	case f.plan != "":
		return 0, 0, nil
	case f.seeds != "":
		return parseSeeds(f.seeds)
	case cmd.Flags().Changed("seed"):
		return f.seed, f.seed, nil
	}
	return 0, 0, cli.Usagef("which seeds? Give --seed N, --seeds A..B or --plan FILE")
}

// parseSeeds reads A..B.
func parseSeeds(text string) (first, last uint64, err error) {
	a, b, ok := strings.Cut(text, "..")
	first, errA := strconv.ParseUint(a, 10, 64)
	last, errB := strconv.ParseUint(b, 10, 64)
	if !ok || errA != nil || errB != nil || last < first {
		return 0, 0, cli.Usagef("--seeds %q: it has the form A..B, where A is not above B", text)
	}
	return first, last, nil
}

func (f *runFlags) task(seed uint64) task {
	return task{Seed: seed, Scenario: f.scenario, Workload: f.workload, Unrestricted: f.unrestricted, Plan: absolute(f.plan), Save: absolute(f.save), Trace: absolute(f.trace), BlackBox: f.blackBox}
}

func absolute(name string) string {
	if name == "" {
		return ""
	}
	if full, err := filepath.Abs(name); err == nil {
		return full
	}
	return name
}

// board shows how a campaign goes.
type board struct {
	out   io.Writer
	flags *runFlags
	tally *tally
	of    string // how many there are in all, if that is known
	line  *liveLine
}

func newBoard(out, progress io.Writer, f *runFlags) *board {
	return &board{out: out, line: newLiveLine(progress), flags: f, tally: newTally()}
}

// play runs the tasks, shows what comes of them, and sums up.
func (b *board) play(ctx context.Context, tasks chan task, one bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := pool{program: self, twice: b.flags.twice, jobs: b.flags.jobs, tasks: tasks, took: func(t task, o *outcome) { b.show(t, o, one) }}
	if err := p.run(ctx); err != nil {
		return err
	}
	b.line.clear()
	if !b.flags.json {
		fmt.Fprint(b.out, b.tally.summary())
	}
	switch {
	case b.tally.failed():
		return cli.ErrSilent
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted after %d seeds", b.tally.seeds)
	}
	return nil
}

// show tells of one outcome.
func (b *board) show(t task, o *outcome, one bool) {
	b.tally.add(o)
	b.line.clear()
	switch {
	case b.flags.json:
		_ = json.NewEncoder(b.out).Encode(o)
	case o.Verdict != checker.Pass:
		fmt.Fprint(b.out, o.describe(again(t)))
	case one:
		fmt.Fprintf(b.out, "seed %d: %s\n", o.Seed, o.Verdict)
	}
	if one && !b.flags.json {
		fmt.Fprintf(b.out, "trace %s\n", o.Trace)
	}
	if !one {
		b.line.show(func() string { return b.tally.progress(b.of) })
	}
}

// again is the command that runs a task once more.
func again(t task) string {
	if t.Plan != "" {
		return "reprise-sim replay " + t.Plan
	}
	if t.Unrestricted {
		return fmt.Sprintf("reprise-sim run --unrestricted --seed %d", t.Seed)
	}
	if t.Scenario != "" {
		return fmt.Sprintf("reprise-sim run --scenario %s --seed %d", t.Scenario, t.Seed)
	}
	if t.Workload != "" {
		return fmt.Sprintf("reprise-sim run --workload %s --seed %d", t.Workload, t.Seed)
	}
	return fmt.Sprintf("reprise-sim run --seed %d", t.Seed)
}
