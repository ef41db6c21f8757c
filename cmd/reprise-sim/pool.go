package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// hang is how long a run may take before it counts as hung.
const hang = 3 * time.Minute

// pool runs tasks in child processes, so many at a time: one simulation takes one
// process, and what crashes or hangs takes only its own seed along.
type pool struct {
	// program is this command.
	program string
	// twice: each task runs in two processes; see pair.
	twice bool
	jobs  int
	// tasks ends when it is closed; outcomes of all of them are given to took, one
	// at a time.
	tasks chan task
	took  func(task, *outcome)
}

// run works until the tasks are done or the context is.
func (p *pool) run(ctx context.Context) error {
	var wait sync.WaitGroup
	var lock sync.Mutex
	errs := make(chan error, p.jobs)
	for range p.jobs {
		wait.Go(func() {
			errs <- p.work(ctx, func(t task, o *outcome) {
				lock.Lock()
				defer lock.Unlock()
				p.took(t, o)
			})
		})
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// work runs one task after the other, as long as there are any.
func (p *pool) work(ctx context.Context, took func(task, *outcome)) error {
	s := p.place()
	defer s.end()
	for {
		var t task
		var ok bool
		select {
		case <-ctx.Done():
			return nil
		case t, ok = <-p.tasks:
			if !ok {
				return nil
			}
		}
		o, err := s.do(ctx, t, hang)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		took(t, o)
	}
}

// place is where tasks run, one at a time.
type place interface {
	do(ctx context.Context, t task, limit time.Duration) (*outcome, error)
	end()
}

func (p *pool) place() place {
	if p.twice {
		return newPair(p.program)
	}
	return &slot{program: p.program}
}

// slot is the place of one child process at a time: when one has died, the next
// task starts another.
type slot struct {
	program string
	// env is what the child's environment has beside this process's own.
	env   []string
	child *child
}

// do runs a task, which counts as hung after limit. An error says that no child
// could be started.
func (s *slot) do(ctx context.Context, t task, limit time.Duration) (*outcome, error) {
	if s.child == nil {
		var err error
		if s.child, err = startChild(ctx, s.program, s.env); err != nil {
			return nil, err
		}
	}
	o := s.child.do(t, limit)
	if s.child.dead {
		s.end()
	}
	return o, nil
}

func (s *slot) end() {
	if s.child != nil {
		s.child.end()
		s.child = nil
	}
}

// child is a worker process.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail
	dead   bool
}

func startChild(ctx context.Context, program string, env []string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, program, "worker"), stderr: &tail{}}
	c.cmd.Stderr = c.stderr
	c.cmd.Env = append(os.Environ(), env...)
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

// do gives the child a task and waits for its outcome.
func (c *child) do(t task, limit time.Duration) *outcome {
	began := time.Now()
	timer := time.AfterFunc(limit, func() { _ = c.cmd.Process.Kill() })
	line, err := c.ask(t)
	if !timer.Stop() {
		c.dead = true
		return lost(t.Seed, "hang", "the run did not end within "+limit.String(), time.Since(began))
	}
	o := &outcome{}
	if err == nil {
		err = json.Unmarshal(line, o)
	}
	if err != nil {
		c.dead = true
		_ = c.cmd.Process.Kill() // what does not answer as it should need not end by itself
		_ = c.cmd.Wait()
		why := "ended: " + c.stderr.String()
		if len(line) > 0 {
			why = fmt.Sprintf("answered %.200q: %s", line, c.stderr)
		}
		return lost(t.Seed, "crash", "the simulator itself "+why, time.Since(began))
	}
	return o
}

func (c *child) ask(t task) ([]byte, error) {
	line, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	return c.out.ReadBytes('\n')
}

// end lets the child go.
func (c *child) end() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

// tail keeps the beginning of what is written to it, which is where a panic says
// what it is.
type tail struct {
	lock sync.Mutex
	kept bytes.Buffer
}

const tailBytes = 4096

// Write is io.Writer; it never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.kept.Write(b[:min(len(b), max(tailBytes-t.kept.Len(), 0))])
	return len(b), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.kept.String()
}
