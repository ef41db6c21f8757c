package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/reprise-mq/reprise/checker"
)

// nondeterminism is the name of the failure that one plan gave two traces.
const nondeterminism = "nondeterminism"

// pair runs each task twice, in two processes that are scheduled and collected
// otherwise: the trace must be the same.
type pair struct{ first, second slot }

func newPair(program string) *pair {
	return &pair{
		first:  slot{program: program, env: []string{"GOMAXPROCS=1"}},
		second: slot{program: program, env: []string{"GOMAXPROCS=4", "GOGC=25"}},
	}
}

// do gives the outcome of the first, unless that of the second is another.
func (p *pair) do(ctx context.Context, t task, limit time.Duration) (*outcome, error) {
	again := t
	again.Save, again.Trace = "", ""
	a, err := p.first.do(ctx, t, limit)
	if err != nil || ctx.Err() != nil {
		return a, err
	}
	b, err := p.second.do(ctx, again, limit)
	switch {
	case err != nil || ctx.Err() != nil || a.Trace == b.Trace || a.Trace == "":
		return a, err
	case b.Trace == "": // crashed or hung, which the first did not
		return b, nil
	}
	a.Anomalies = append([]string{nondeterminism}, a.Anomalies...)
	a.Verdict = checker.Fail
	a.Witness, err = p.witness(ctx, t, limit)
	return a, err
}

// witness runs a task twice once more, with the traces as text, and says where they
// part.
func (p *pair) witness(ctx context.Context, t task, limit time.Duration) (string, error) {
	folder, err := os.MkdirTemp("", "reprise-twice-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	names := [2]string{filepath.Join(folder, "first"), filepath.Join(folder, "second")}
	for i, s := range []*slot{&p.first, &p.second} {
		t.Save, t.Trace = "", names[i]
		if _, err := s.do(ctx, t, limit); err != nil {
			return "", err
		}
	}
	parting, _, err := compareFiles(names[0], names[1])
	switch {
	case err != nil:
		return "", err
	case parting == nil:
		return "one plan gave two traces, but not when both were written as text", nil
	}
	return parting.describe(fmt.Sprint("with ", p.first.env), fmt.Sprint("with ", p.second.env)), nil
}

func (p *pair) end() {
	p.first.end()
	p.second.end()
}
