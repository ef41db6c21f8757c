package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// hunt is the search for the first seed that finds a bug.
type hunt struct {
	simulator string
	jobs      int
	plans     []string // arguments that choose them, if each seed does not draw its own
	// blackBox: only what the clients saw counts, under any name but those of
	// nameless.
	blackBox bool
	// verdicts that count otherwise.
	verdicts []string

	seed    uint64 // 0 while it is not found
	verdict string
	seeds   uint64
	cpu     time.Duration
	// missed counts the seeds that failed in a way that does not count, by name.
	missed map[string]int
}

// patience is how long a simulator may take to end.
const patience = 10 * time.Second

// nameless are the verdicts that say that a run ended badly, and not what is wrong
// with the cluster.
var nameless = []string{"panic", "crash", "hang", "stuck", "node-failed"}

// outcome is what is read of a seed's line; see reprise-sim run --json.
type outcome struct {
	Seed      uint64   `json:"seed"`
	Verdict   string   `json:"verdict"`
	Anomalies []string `json:"anomalies"`
}

func (h *hunt) found() bool { return h.seed != 0 }

// run goes through the seeds in ascending order, as many at a time as there are
// jobs, until one finds the bug.
func (h *hunt) run(ctx context.Context, first, last uint64) error {
	h.missed = make(map[string]int)
	for from := first; from <= last && !h.found(); from += uint64(h.jobs) {
		to := min(last, from+uint64(h.jobs)-1)
		outcomes, err := h.seedsFrom(ctx, from, to)
		if err != nil {
			return err
		}
		for i := range outcomes {
			h.take(&outcomes[i])
		}
		h.seeds = to - first + 1
		if h.found() {
			h.seeds = h.seed - first + 1
		}
	}
	return nil
}

// seedsFrom runs some seeds and gives their outcomes in ascending order.
func (h *hunt) seedsFrom(ctx context.Context, from, to uint64) ([]outcome, error) {
	args := []string{"run", "--seeds", fmt.Sprintf("%d..%d", from, to), "--jobs", fmt.Sprint(h.jobs), "--json"}
	args = append(args, h.plans...)
	if h.blackBox {
		args = append(args, "--black-box")
	}
	cmd := exec.CommandContext(ctx, h.simulator, args...)
	// It ends its own processes when it is asked to.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	// A failed verdict is what is hoped for; it ends with code 1.
	if failed := (*exec.ExitError)(nil); ctx.Err() != nil || err != nil && !errors.As(err, &failed) {
		return nil, errors.Join(ctx.Err(), err)
	}
	h.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	var outcomes []outcome
	for line := range bytes.Lines(text) {
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("reprise-sim %s: %w in %q", strings.Join(args, " "), err, line)
		}
		outcomes = append(outcomes, o)
	}
	if uint64(len(outcomes)) != to-from+1 {
		return nil, fmt.Errorf("reprise-sim %s: %d outcomes\n%s", strings.Join(args, " "), len(outcomes), stderr.Bytes())
	}
	slices.SortFunc(outcomes, func(a, b outcome) int { return int(int64(a.Seed) - int64(b.Seed)) })
	return outcomes, nil
}

// take judges a seed's outcome: the first name that counts has found the bug.
func (h *hunt) take(o *outcome) {
	if h.found() || o.Verdict != "fail" {
		return
	}
	at := slices.IndexFunc(o.Anomalies, h.counts)
	if at >= 0 {
		h.seed, h.verdict = o.Seed, o.Anomalies[at]
		return
	}
	h.missed[strings.Join(o.Anomalies, "+")]++
}

func (h *hunt) counts(name string) bool {
	if h.blackBox {
		return !slices.Contains(nameless, name)
	}
	return slices.Contains(h.verdicts, name)
}

// String is the rest of the hunt's line on the sheet.
func (h *hunt) String() string {
	seed, verdict := "-", "NOT FOUND"
	if h.found() {
		seed, verdict = fmt.Sprint(h.seed), h.verdict
	}
	if len(h.missed) > 0 {
		verdict += fmt.Sprintf(" (before it: %v)", h.missed)
	}
	return fmt.Sprintf("%5s %6d %8.1f  %s", seed, h.seeds, h.cpu.Seconds(), verdict)
}
