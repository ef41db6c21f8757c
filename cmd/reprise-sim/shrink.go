package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/shrink"
)

// keptFolder is where plans that once failed are kept as tests, from the root of
// the project.
const keptFolder = "histories/kept"

// shrinkFlags are those of shrink.
type shrinkFlags struct {
	of       chosen
	budget   time.Duration
	out      string
	keep     string
	json     bool
	blackBox bool
}

func newShrink() *cobra.Command {
	f := &shrinkFlags{}
	cmd := &cobra.Command{
		Use:   "shrink [FILE]",
		Short: "Reduce a failing plan to a small one that fails in the same way",
		Long: `Reduce a failing plan to a small one that fails in the same way: fewer faults,
clients, operations, nodes and partitions, less time. Each candidate runs in a child
process; it counts if it fails with the first verdict that the whole plan has.

FILE is a plan, or any file of a run that 'run --save' has kept. The result is a
plan, for 'replay' and 'inspect'. With --keep, in the root of the project, it also
becomes a test: that the plan passes, and still reaches what it reached.`,
		Example: `  reprise-sim shrink --seed 7 --budget 60s
  reprise-sim shrink failures/seed-7.plan.json --out small.plan.json
  reprise-sim shrink --seed 7 --keep torn-batch`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.of.on(cmd, "reduce the plan of this seed")
	flags := cmd.Flags()
	flags.DurationVar(&f.budget, "budget", time.Minute, "how long to go on at most")
	flags.StringVar(&f.out, "out", "", "write the result to this `file` (default: beside FILE, or here)")
	flags.StringVar(&f.keep, "keep", "", "also keep the result as the test of this `name` under "+keptFolder)
	flags.BoolVar(&f.json, "json", false, "say how far it came as one JSON object instead of text")
	flags.BoolVar(&f.blackBox, "black-box", false, "judge by what the clients saw alone")
	return cmd
}

// reduced is the plan to reduce, and the file for the result.
func (f *shrinkFlags) reduced(args []string) (p *plan.Plan, out string, err error) {
	if len(args) == 0 {
		p, err = f.of.generate()
		return p, fmt.Sprintf("seed-%d.small.plan.json", f.of.Seed), err
	}
	name := planOf(args[0])
	p, err = readPlan(name)
	return p, strings.TrimSuffix(strings.TrimSuffix(name, ".json"), ".plan") + ".small.plan.json", err
}

func (f *shrinkFlags) run(cmd *cobra.Command, args []string) error {
	if f.budget <= 0 {
		return cli.Usagef("--budget %v: it is above 0", f.budget)
	}
	p, out, err := f.reduced(args)
	if err != nil {
		return err
	}
	if f.out != "" {
		out = f.out
	}
	if err := f.check(); err != nil {
		return err
	}
	r, err := newReducer(cmd, f.blackBox)
	if err != nil {
		return err
	}
	defer r.end()
	small, err := r.reduce(p, f.budget)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, plan.Encode(small), 0o644); err != nil {
		return err
	}
	if err := r.report(small, out, f.json); err != nil || f.keep == "" {
		return err
	}
	return r.keep(small, f.keep)
}

// check refuses a name to keep that cannot be.
func (f *shrinkFlags) check() error {
	if f.keep == "" {
		return nil
	}
	if f.keep != filepath.Base(f.keep) || strings.HasPrefix(f.keep, ".") {
		return cli.Usagef("--keep %q: it is the name of a test, such as torn-batch", f.keep)
	}
	if _, err := os.Stat(keptFolder); err != nil {
		return fmt.Errorf("--keep: %w; it works in the root of the project", err)
	}
	return nil
}

// reducer runs candidates one after the other, each in a child process.
type reducer struct {
	cmd      *cobra.Command
	ctx      context.Context
	slot     slot
	folder   string // for the plans of candidates
	blackBox bool

	verdict string // the one to be kept
	// early: the whole plan failed before its cluster was ready.
	early bool
	tries int
	limit time.Duration // of a candidate
	whole *plan.Plan
	until time.Time
	began time.Time
	line  *liveLine
	err   error // no child could be started
}

func newReducer(cmd *cobra.Command, blackBox bool) (*reducer, error) {
	folder, err := os.MkdirTemp("", "reprise-shrink-")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &reducer{
		slot: slot{program: self}, cmd: cmd, ctx: cmd.Context(), folder: folder, blackBox: blackBox, limit: hang,
		began: time.Now(), line: newLiveLine(cmd.ErrOrStderr()),
	}, nil
}

func (r *reducer) end() {
	r.slot.end()
	_ = os.RemoveAll(r.folder)
}

// play runs one plan.
func (r *reducer) play(p *plan.Plan) (*outcome, error) {
	file := filepath.Join(r.folder, "candidate.plan.json")
	if err := os.WriteFile(file, plan.Encode(p), 0o644); err != nil {
		return nil, err
	}
	o, err := r.slot.do(r.ctx, task{Seed: p.Seed, Plan: file, BlackBox: r.blackBox}, r.limit)
	if r.ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return o, err
}

// Limits of a candidate's run: so many times as long as the whole plan took, and
// never less than leastLimit.
const (
	limitFactor = 4
	leastLimit  = 10 * time.Second
)

// reduce gives the smallest plan that it finds.
func (r *reducer) reduce(p *plan.Plan, budget time.Duration) (*plan.Plan, error) {
	r.whole, r.until = p, time.Now().Add(budget)
	o, err := r.play(p)
	switch {
	case err != nil:
		return nil, err
	case o.Verdict != checker.Fail:
		return nil, fmt.Errorf("seed %d: the verdict is %s: there is nothing to shrink", p.Seed, o.Verdict)
	}
	r.verdict, r.early = o.Anomalies[0], early(o)
	r.limit = max(leastLimit, limitFactor*time.Duration(o.WallMs)*time.Millisecond)
	small := shrink.Shrink(p, plan.Milliseconds(o.FailedMs), shrink.Options{
		Try:  r.try,
		Over: func() bool { return r.err != nil || time.Now().After(r.until) },
		Tell: func(now shrink.Progress) {
			r.tries = now.Tries
			r.line.show(func() string { return fmt.Sprintf("%s, %d tries: %s", now.Stage, now.Tries, size(now.Best)) })
		},
	})
	r.line.clear()
	return small, r.err
}

func (r *reducer) try(p *plan.Plan) shrink.Outcome {
	o, err := r.play(p)
	if err != nil {
		r.err = err
		return shrink.Outcome{}
	}
	return shrink.Outcome{
		Fails: o.Verdict == checker.Fail && slices.Contains(o.Anomalies, r.verdict) && early(o) == r.early,
		At:    plan.Milliseconds(o.FailedMs),
	}
}

// early reports whether a run ended before its cluster was ready: then it says
// nothing about what the plan does with a cluster.
func early(o *outcome) bool { return o.Counts != nil && o.Counts.ReadyMillis == 0 }

// size says in a line how large a plan is.
func size(p *plan.Plan) string {
	return fmt.Sprintf("%d faults, %d operations, %d nodes, %d clients, %d partitions, %.1f s",
		len(p.Faults), len(p.Operations), p.Nodes, p.Workload.Clients, p.Workload.Partitions, float64(p.Safety)/1000)
}

// reduced is what shrink has done, in JSON.
type reduced struct {
	Seed       uint64 `json:"seed"`
	Verdict    string `json:"verdict"`
	Faults     int    `json:"faults"`
	Operations int    `json:"operations"`
	Nodes      int    `json:"nodes"`
	Clients    int    `json:"clients"`
	Partitions int    `json:"partitions"`
	SafetyMs   int64  `json:"safety_ms"`
	Tries      int    `json:"tries"`
	WallMs     int64  `json:"wall_ms"`
	Plan       string `json:"plan"`
}

// report says what the result is.
func (r *reducer) report(p *plan.Plan, out string, asJSON bool) error {
	w, took := r.cmd.OutOrStdout(), time.Since(r.began)
	if asJSON {
		return json.NewEncoder(w).Encode(reduced{
			Seed: p.Seed, Verdict: r.verdict, Faults: len(p.Faults), Operations: len(p.Operations), Nodes: p.Nodes,
			Clients: p.Workload.Clients, Partitions: p.Workload.Partitions, SafetyMs: int64(p.Safety),
			Tries: r.tries, WallMs: took.Milliseconds(), Plan: out,
		})
	}
	fmt.Fprintf(w, "seed %d fails: %s\n", p.Seed, r.verdict)
	fmt.Fprintf(w, "from    %s\nto      %s\n", size(r.whole), size(p))
	fmt.Fprintf(w, "in      %v, %d tries\n", took.Round(100*time.Millisecond), r.tries)
	fmt.Fprintf(w, "written %s\nsee it: reprise-sim inspect %s\n", out, out)
	return nil
}

// keep makes the result a test: it must go on to reach what its faults and
// operations bring about, which is what a run without any does not.
func (r *reducer) keep(p *plan.Plan, name string) error {
	failed, err := r.play(p)
	if err != nil {
		return err
	}
	bare := *p
	bare.Faults, bare.Operations = nil, nil
	calm, err := r.play(&bare)
	if err != nil {
		return err
	}
	marks := slices.Sorted(maps.Keys(failed.Marks))
	marks = slices.DeleteFunc(marks, func(m string) bool { return calm.Marks[m] > 0 })
	kept := *p
	kept.Kept = &plan.Kept{Was: r.verdict, Faults: slices.Sorted(maps.Keys(failed.Faults)), Marks: marks}
	file := filepath.Join(keptFolder, name+".plan.json")
	if err := os.WriteFile(file, plan.Encode(&kept), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(r.cmd.OutOrStdout(), "kept    %s; write into it what the cause was\ntest:   go test ./%s -run 'TestKept/%s$'\n", file, keptFolder, name)
	return nil
}
