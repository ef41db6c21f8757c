package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// reduction is what is read of reprise-sim shrink --json.
type reduction struct {
	Faults     int   `json:"faults"`
	Operations int   `json:"operations"`
	WallMs     int64 `json:"wall_ms"`
}

// reduce shrinks the plan of the seed that found a bug.
func (h *hunt) reduce(ctx context.Context, budget time.Duration) (*reduction, error) {
	small := filepath.Join(filepath.Dir(h.simulator), "small.plan.json")
	args := []string{"shrink", "--json", "--seed", fmt.Sprint(h.seed), "--budget", budget.String(), "--out", small}
	cmd := exec.CommandContext(ctx, h.simulator, append(args, h.plans...)...)
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", cmd.Args, err)
	}
	r := &reduction{}
	return r, json.Unmarshal(text, r)
}

// String is the reduction's part of a line of the sheet. An event of a plan is a
// fault or an operation.
func (r *reduction) String() string {
	return fmt.Sprintf("shrunk to %d faults, %d operations in %.1f s", r.Faults, r.Operations, float64(r.WallMs)/1000)
}

// medians sums reductions up.
func medians(all []*reduction) string {
	events := middle(all, func(r *reduction) int64 { return int64(r.Faults + r.Operations) })
	faults := middle(all, func(r *reduction) int64 { return int64(r.Faults) })
	millis := middle(all, func(r *reduction) int64 { return r.WallMs })
	return fmt.Sprintf("%d plans shrunk; medians: %d events, %d of them faults, %.1f s", len(all), events, faults, float64(millis)/1000)
}

// middle is the median of a measure; of two in the middle, the larger.
func middle[T any](all []T, of func(T) int64) int64 {
	if len(all) == 0 {
		return 0
	}
	var values []int64
	for _, x := range all {
		values = append(values, of(x))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
