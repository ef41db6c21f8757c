package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/cmd/cli"
	"github.com/reprise-mq/reprise/sim/plan"
)

// hopeless is a plan that fails: it gives the cluster no time to be well again.
func hopeless(t *testing.T) (file string) {
	t.Helper()
	file = quick(t)
	p, err := readPlan(file)
	if err != nil {
		t.Fatal(err)
	}
	p.Liveness = 0
	if err := os.WriteFile(file, plan.Encode(p), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// A failing plan is reduced and kept as a plan and a test.
func TestShrinkCommand(t *testing.T) {
	program, file := self(t), hopeless(t)
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, keptFolder), 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(root, "out.plan.json")
	cmd := exec.Command(program, "shrink", file, "--out", out, "--keep", "no-time", "--budget", "20s")
	cmd.Dir = root
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	small, err := readPlan(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(small.Operations) != 0 || small.Nodes != 1 || !small.Small || !strings.Contains(string(text), "to      0 faults, 0 operations") {
		t.Errorf("%s%s", text, plan.Encode(small))
	}
	kept, err := readPlan(filepath.Join(root, keptFolder, "no-time.plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	if kept.Kept == nil || kept.Kept.Was != "stuck" {
		t.Errorf("kept as %+v", kept.Kept)
	}
}

// What it has done is there for programs, too.
func TestShrinkJSON(t *testing.T) {
	program, file := self(t), hopeless(t)
	out := filepath.Join(t.TempDir(), "out.plan.json")
	text, err := exec.Command(program, "shrink", file, "--out", out, "--json", "--budget", "20s").Output()
	if err != nil {
		t.Fatal(err)
	}
	var r reduced
	if err := json.Unmarshal(text, &r); err != nil || r.Verdict != "stuck" || r.Seed != 5 || r.Nodes != 1 || r.Tries < 1 || r.Plan != out {
		t.Errorf("%v: %s", err, text)
	}
}

// A plan that passes is not shrunk.
func TestNothingToShrink(t *testing.T) {
	program := self(t)
	text, err := exec.Command(program, "shrink", quick(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(text), "there is nothing to shrink") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestShrinkUsage(t *testing.T) {
	for _, args := range []string{"shrink", "shrink a b", "shrink a --seed 3", "shrink --seed 3 --budget 0s", "shrink --seed 3 --keep ../x"} {
		if code, _, stderr := call(strings.Fields(args)...); code != cli.Usage {
			t.Errorf("%s: exit %d, %s", args, code, stderr)
		}
	}
}
