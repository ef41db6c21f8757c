package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim"
	"github.com/reprise-mq/reprise/sim/plan"
)

// task is one line on a worker's standard input: the seed to run, or the plan.
type task struct {
	Seed uint64 `json:"seed"`
	// Scenario is the name of what the plan of the seed consists of; "" for the
	// standard plan.
	Scenario string `json:"scenario,omitempty"`
	// Workload is the kind of workload of the plan of the seed; "" leaves it to the seed.
	Workload string `json:"workload,omitempty"`
	// Unrestricted: the plan keeps no majority from damage.
	Unrestricted bool `json:"unrestricted,omitempty"`
	// Plan is the file of a plan; "" for the plan of the seed.
	Plan string `json:"plan,omitempty"`
	// Save is the folder for what did not pass; "" keeps nothing.
	Save string `json:"save,omitempty"`
	// Trace is the file for the trace as text; "" for none.
	Trace string `json:"trace,omitempty"`
	// BlackBox: the oracles judge nothing; see sim.Options.
	BlackBox bool `json:"black_box,omitempty"`
	// Received: the outcome says what nodes and clients received, as a digest.
	Received bool `json:"received,omitempty"`
}

// newWorker is the command of the child processes: one simulation at a time.
func newWorker() *cobra.Command {
	return &cobra.Command{
		Use: "worker", Hidden: true, Args: cli.NoArguments,
		Short: "Runs the plans it is told on standard input",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(workerGC)
			}
			w := worker{lines: make(chan []byte)}
			go w.listen(cmd.InOrStdin())
			return w.work(json.NewEncoder(cmd.OutOrStdout()))
		},
	}
}

// worker is a child process.
type worker struct {
	lines chan []byte // tasks
	busy  atomic.Bool
}

// listen takes tasks until there are no more. If the input ends in the middle of
// one, nobody is left to hear of it, and the process ends: a run may never do.
func (w *worker) listen(from io.Reader) {
	for in := bufio.NewScanner(from); in.Scan(); {
		w.lines <- bytes.Clone(in.Bytes())
	}
	if w.busy.Load() {
		os.Exit(cli.Failed)
	}
	close(w.lines)
}

// work carries tasks out.
func (w *worker) work(out *json.Encoder) error {
	for line := range w.lines {
		w.busy.Store(true)
		var t task
		if err := json.Unmarshal(line, &t); err != nil {
			return fmt.Errorf("task %q: %w", line, err)
		}
		o, err := t.run()
		if err != nil {
			return err
		}
		w.busy.Store(false)
		if err := out.Encode(o); err != nil {
			return err
		}
	}
	return nil
}

// workerGC lets a run grow before it is collected: a run is short.
const workerGC = 400

// run carries a task out.
func (t *task) run() (*outcome, error) {
	p, err := t.plan()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	result, err := runPlan(p, t.Trace, sim.Options{BlackBox: t.BlackBox, Received: t.Received})
	if err != nil {
		return nil, err
	}
	o := newOutcome(result, time.Since(began))
	if t.Save != "" && result.Verdict == checker.Fail {
		if err := save(t.Save, p, result); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (t *task) plan() (*plan.Plan, error) {
	switch {
	case t.Plan != "":
		return readPlan(t.Plan)
	case t.Unrestricted:
		return plan.GenerateUnrestricted(t.Seed), nil
	case t.Scenario != "":
		return plan.GenerateScenario(t.Scenario, t.Seed)
	case t.Workload != "":
		return plan.GenerateWorkload(t.Workload, t.Seed)
	}
	return plan.Generate(t.Seed), nil
}

// readPlan reads a file that holds a plan.
func readPlan(name string) (*plan.Plan, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p, err := plan.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; a plan is what 'run --save' keeps", name, err)
	}
	return p, nil
}

// runPlan runs a plan here, with its trace in a file if one is named.
func runPlan(p *plan.Plan, traceFile string, o sim.Options) (*sim.Result, error) {
	if traceFile == "" {
		return sim.Run(p, o), nil
	}
	f, err := os.Create(traceFile)
	if err != nil {
		return nil, err
	}
	o.Text = f
	result := sim.Run(p, o)
	return result, f.Close()
}

// save keeps a run: its plan, its history, and what is wrong in words.
func save(folder string, p *plan.Plan, r *sim.Result) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	stem := filepath.Join(folder, fmt.Sprintf("seed-%d", p.Seed))
	if err := os.WriteFile(stem+".plan.json", plan.Encode(p), 0o644); err != nil {
		return err
	}
	if err := writeFile(stem+".history.jsonl", r.History.Write); err != nil {
		return err
	}
	return writeFile(stem+".txt", newAccount(p, r).write)
}
