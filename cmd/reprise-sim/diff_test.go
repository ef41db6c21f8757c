package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// numbered is a trace of lines 1 to n, with others in place of some.
func numbered(n int, others map[int]string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		line := fmt.Sprintf("event %d", i)
		if other, ok := others[i]; ok {
			line = other
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		event  int // 0: the same
		before int
	}{
		{numbered(20, nil), numbered(20, nil), 0, 0},
		{"", "", 0, 0},
		{numbered(20, nil), numbered(20, map[int]string{12: "x"}), 12, eventsBefore},
		{numbered(20, nil), numbered(20, map[int]string{1: "x"}), 1, 0},
		{numbered(20, nil), numbered(15, nil), 16, eventsBefore},
		{"", numbered(3, nil), 1, 0},
	} {
		p, _, err := compare(strings.NewReader(c.a), strings.NewReader(c.b))
		switch {
		case err != nil:
			t.Error(err)
		case c.event == 0 && p != nil:
			t.Errorf("they part: %+v", p)
		case c.event == 0:
		case p == nil || p.event != c.event || len(p.before) != c.before || len(p.a) > eventsAfter:
			t.Errorf("at %d with %d before, want %d and %d: %+v", c.event, c.before, c.event, c.before, p)
		case p.event == 16 && !strings.Contains(p.describe("a", "b"), "b\n    (ends here)"):
			t.Error(p.describe("a", "b"))
		}
	}
}

// The command says the same of files, and its exit code is a verdict.
func TestDiffCommand(t *testing.T) {
	folder := t.TempDir()
	a, b := filepath.Join(folder, "a"), filepath.Join(folder, "b")
	for name, text := range map[string]string{a: numbered(9, nil), b: numbered(9, map[int]string{9: "other"})} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if code, stdout, _ := call("diff", a, a); code != 0 || !strings.Contains(stdout, "the same: 9 events") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	if code, stdout, _ := call("diff", a, b); code != cli.Failed || !strings.Contains(stdout, "event 9 is the first") || !strings.Contains(stdout, "other") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	if code, _, _ := call("diff", a); code != cli.Usage {
		t.Errorf("exit %d", code)
	}
}

// Two processes that do different things are told apart, at the event at which they
// part; two that do the same are not.
func TestTwice(t *testing.T) {
	program, file := self(t), quick(t)
	ctx := context.Background()
	p := newPair(program)
	defer p.end()
	o, err := p.do(ctx, task{Seed: 5, Plan: file}, time.Minute)
	if err != nil || o.Verdict != checker.Pass {
		t.Fatalf("%v %+v", err, o)
	}
	p.second.end()
	p.second.program = otherwise(t, program)
	o, err = p.do(ctx, task{Seed: 5, Plan: file}, time.Minute)
	if err != nil || o.Verdict != checker.Fail || o.Anomalies[0] != nondeterminism || !strings.Contains(o.Witness, "is the first that differs") {
		t.Errorf("%v %+v", err, o)
	}
}

// otherwise is a program that runs every task of a program with another seed.
func otherwise(t *testing.T, program string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "otherwise")
	script := fmt.Sprintf("#!/bin/sh\nsed -u 's/\"plan\":\"[^\"]*\"/\"plan\":\"\"/' | exec %q \"$@\"\n", program)
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}
