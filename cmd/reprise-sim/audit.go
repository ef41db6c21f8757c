package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim/plan"
)

// auditFlags are those of audit.
type auditFlags struct {
	seeds   string
	jobs    int
	samples int
	staged  int
	budget  time.Duration
}

func newAudit() *cobra.Command {
	f := &auditFlags{}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show that every kind of fault has an effect, and every rare path is taken",
		Long: `Show that every kind of fault has an effect, and every rare path is taken.

The seeds are run. For each kind of fault, and everything else in a plan that goes
wrong, the report says how often it was planned and how often it fired. Then plans
are run again without one of that kind: it was effective if what nodes and clients
received is not the same. Last come the marks, which the broker sets on rare paths;
for them each scenario is played too.

A kind that was never planned, fired or effective, a mark never hit, and a scenario
that does not pass, fail the audit.`,
		Example: "  reprise-sim audit --seeds 1..100 --budget 20m",
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			first, last, err := parseSeeds(f.seeds)
			switch {
			case err != nil:
				return err
			case f.jobs < 1 || f.samples < 1 || f.staged < 0 || f.budget <= 0:
				return cli.Usagef("--jobs %d, --samples %d, --staged %d, --budget %v: none is below 0, and only --staged may be 0", f.jobs, f.samples, f.staged, f.budget)
			}
			return f.run(cmd, first, last)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.seeds, "seeds", "", "run the seeds `A..B`, both included")
	flags.IntVar(&f.jobs, "jobs", runtime.NumCPU(), "how many to run at the same time")
	flags.IntVar(&f.samples, "samples", 2, "plans to run again for each kind; more, if they have shown no effect")
	flags.IntVar(&f.staged, "staged", 30, "seeds to play each scenario with, from the first of --seeds on")
	flags.DurationVar(&f.budget, "budget", 10*time.Minute, "how long to go on at most; half of it is for the seeds")
	return cmd
}

func (f *auditFlags) run(cmd *cobra.Command, first, last uint64) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "reprise-audit-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	a := &auditor{
		ledger: newLedger(), pool: pool{program: self, jobs: f.jobs}, folder: folder,
		line: newLiveLine(cmd.ErrOrStderr()),
	}
	began := time.Now()
	err = a.runSeeds(cmd.Context(), first, last, began.Add(f.budget/2))
	if err == nil {
		err = a.stage(cmd.Context(), first, uint64(f.staged), began.Add(f.budget))
	}
	if err == nil {
		err = a.sample(cmd.Context(), f.samples, began.Add(f.budget))
	}
	a.line.clear()
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), a.ledger.report())
	if len(a.ledger.zeros()) > 0 {
		return cli.ErrSilent
	}
	return cmd.Context().Err()
}

// auditor runs what the ledger counts.
type auditor struct {
	ledger *ledger
	pool   pool
	folder string // for plans with something taken out
	line   *liveLine
}

// runSeeds runs the seeds as they are, until the time is over.
func (a *auditor) runSeeds(ctx context.Context, first, last uint64, end time.Time) error {
	tasks := make(chan task)
	go func() {
		defer close(tasks)
		for seed := first; time.Now().Before(end); seed++ {
			select {
			case tasks <- task{Seed: seed, Received: true}:
			case <-ctx.Done():
				return
			}
			if seed == last {
				return
			}
		}
	}()
	return a.play(ctx, tasks, func(_ task, o *outcome) {
		a.ledger.add(plan.Generate(o.Seed), o)
		a.line.show(func() string { return fmt.Sprintf("%d of %d seeds", len(a.ledger.seeds), last-first+1) })
	})
}

// stage plays every scenario with so many seeds.
func (a *auditor) stage(ctx context.Context, first, seeds uint64, end time.Time) error {
	all := plan.Scenarios()
	tasks := make(chan task, len(all)*int(seeds))
	for i := range seeds {
		for _, s := range all {
			tasks <- task{Seed: first + i, Scenario: s.Name}
		}
	}
	close(tasks)
	return a.playUntil(ctx, tasks, end, func(t task, o *outcome) { a.ledger.staged(t, o) })
}

// patience is how many times as many samples a kind gets that shows no effect.
const patience = 4

// sample runs plans again with something taken out: one of each kind in a round,
// until there are enough of each.
func (a *auditor) sample(ctx context.Context, samples int, end time.Time) error {
	for round := range patience * samples {
		byFile := make(map[string]trial)
		tasks := make(chan task, len(a.ledger.entries))
		for i, acc := range a.ledger.entries {
			if round >= samples && acc.effective > 0 {
				continue
			}
			if t, ok := a.ledger.trial(acc, round); ok {
				file := filepath.Join(a.folder, fmt.Sprintf("%d.plan.json", i))
				if err := os.WriteFile(file, plan.Encode(t.plan), 0o644); err != nil {
					return err
				}
				byFile[file] = t
				tasks <- task{Seed: t.plan.Seed, Plan: file, Received: true}
			}
		}
		close(tasks)
		if err := a.playUntil(ctx, tasks, end, func(t task, o *outcome) { a.ledger.tried(byFile[t.Plan], o) }); err != nil {
			return err
		}
		if time.Now().After(end) || ctx.Err() != nil {
			break
		}
	}
	return nil
}

// playUntil plays tasks and begins none after the end.
func (a *auditor) playUntil(ctx context.Context, tasks <-chan task, end time.Time, took func(task, *outcome)) error {
	timely := make(chan task)
	go func() {
		defer close(timely)
		for t := range tasks {
			if time.Now().After(end) {
				return
			}
			select {
			case timely <- t:
			case <-ctx.Done():
				return
			}
		}
	}()
	return a.play(ctx, timely, func(t task, o *outcome) {
		took(t, o)
		a.line.show(func() string {
			return fmt.Sprintf("%d seeds, %d scenarios, %d plans run again", len(a.ledger.seeds), a.ledger.stages, a.ledger.trials)
		})
	})
}

func (a *auditor) play(ctx context.Context, tasks chan task, took func(task, *outcome)) error {
	p := a.pool
	p.tasks, p.took = tasks, took
	return p.run(ctx)
}

// sound reports whether a run is good for comparing.
func sound(o *outcome) bool { return o.Verdict != checker.Fail && o.Received != "" }
