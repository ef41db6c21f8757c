// Package kept_test runs the plans that once failed, shrunk and kept here by
// 'reprise-sim shrink --keep NAME': each must pass now, and still reach what made
// it fail.
package kept_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/sim"
	"github.com/reprise-mq/reprise/sim/plan"
)

const suffix = ".plan.json"

func TestKept(t *testing.T) {
	files, err := filepath.Glob("*" + suffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, suffix), func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Decode(data)
	switch {
	case err != nil:
		t.Fatal(err)
	case p.Kept == nil || p.Kept.Was == "" || p.Kept.Cause == "":
		t.Fatalf("%s does not say which verdict it had and what the cause was", file)
	}
	r := sim.Run(p, sim.Options{})
	if r.Verdict != checker.Pass {
		t.Errorf("%s: %v %+v %v\nonce %s: %s\nagain: reprise-sim inspect histories/kept/%s",
			r.Verdict, r.Violation, r.Report.Anomalies, r.Reasons, p.Kept.Was, p.Kept.Cause, file)
	}
	for _, kind := range p.Kept.Faults {
		if r.Counts.Faults[kind] == 0 {
			t.Errorf("no %s fires any more: the plan proves nothing; shrink the failure again, or let it go", kind)
		}
	}
	for _, mark := range p.Kept.Marks {
		if r.Counts.Marks[mark] == 0 {
			t.Errorf("%q is not reached any more: the plan proves nothing; shrink the failure again, or let it go", mark)
		}
	}
}
