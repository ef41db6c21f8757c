package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/env"
)

// fault is what a disk does to a node, and how the node says so.
type fault struct {
	name  string
	set   func(*faultyDisk, bool)
	cause error
	says  string
}

var faults = []fault{
	{"full", func(d *faultyDisk, on bool) { d.full.Store(on) }, env.ErrNoSpace, "no space left on the disk"},
	{"denied", func(d *faultyDisk, on bool) { d.denied.Store(on) }, syscall.EACCES, "permission denied"},
}

func (f *fault) wantFailure(t *testing.T, m *machine) {
	t.Helper()
	if err := m.failure(); !errors.Is(err, f.cause) || !strings.Contains(err.Error(), f.says) {
		t.Errorf("the node failed with %v, want %v", err, f.cause)
	} else {
		t.Logf("the node stopped: %v", err)
	}
}

// The only node's disk gives way under load: the node stops and says why, also
// when it is started on the same disk, and all that was acknowledged is there once
// the disk is well.
func TestDiskOfTheOnlyNode(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			c := newCluster(t, 1)
			m := c.machines[0]
			p := c.produce(8)
			c.awaitMore(p, 200)
			f.set(&m.disk, true)
			f.wantFailure(t, m)
			m.again()
			f.wantFailure(t, m) // the producers go on: an idle node may need no room
			p.stop()
			f.set(&m.disk, false)
			m.again()
			c.leader()
			c.wantAll(p)
			more := c.produce(8)
			c.awaitMore(more, 200)
			more.stop()
			c.wantAll(p)
		})
	}
}

// The leader's disk gives way: the others go on, and it comes back with all there
// is.
func TestDiskOfTheLeader(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			c := newCluster(t, 3)
			p := c.produce(8)
			c.awaitMore(p, 200)
			m := c.leader()
			f.set(&m.disk, true)
			f.wantFailure(t, m)
			m.life.Kill()
			c.awaitMore(p, 500)
			f.set(&m.disk, false)
			m.again()
			c.awaitMore(p, 200)
			p.stop()
			c.elect(m)
			c.wantAll(p)
		})
	}
}

// A disk that gives way before the node has anything: it says so, and starts when
// the disk is well.
func TestDiskAtTheStart(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			m := &machine{t: t, folder: t.TempDir(), address: "127.0.0.1:0"}
			f.set(&m.disk, true)
			m.begin(func(cfg *broker.Config) { cfg.Init = true })
			defer func() { m.life.Kill() }()
			f.wantFailure(t, m)
			f.set(&m.disk, false)
			m.life.Kill()
			m.begin(func(cfg *broker.Config) { cfg.Init = true })
			c := &cluster{t: t, machines: []*machine{m}}
			c.await("the node has an identity", func() error {
				if m.life.Node() == 0 {
					return errors.New("none yet")
				}
				return nil
			})
		})
	}
}

// A disk with little room: the node refuses records with an error that says so, serves
// what it has, and goes on by itself when there is room.
func TestLittleRoom(t *testing.T) {
	c := newCluster(t, 1)
	m := c.machines[0]
	p := c.produce(8)
	c.awaitMore(p, 200)
	p.stop()
	m.disk.little.Store(true)
	c.await("records are refused", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := c.client.Produce(ctx, "t", 0, client.Record{Value: fmt.Appendf(nil, "no room %d", c.values.Add(1))})
		if e := (*client.Error)(nil); !errors.As(err, &e) || e.Code != api.Code_STORAGE_FULL || !e.Definite {
			return fmt.Errorf("the answer is %v", err)
		}
		return nil
	})
	c.wantAll(p)
	m.disk.little.Store(false)
	more := c.produce(8)
	c.awaitMore(more, 200)
	more.stop()
	c.wantAll(p)
}

// A node that can open no more files, at its start or at work, stands still as far as it
// needs one, and goes on in the same life as if nothing had been.
func TestNoMoreFiles(t *testing.T) {
	c := newCluster(t, 1)
	m := c.machines[0]
	p := c.produce(8)
	standStill := func() {
		t.Helper()
		before := m.disk.refused.Load()
		c.await("files are asked for again", func() error {
			if n := m.disk.refused.Load(); n < before+20 {
				return fmt.Errorf("%d times", n-before)
			}
			return nil
		})
		m.disk.short.Store(false)
		c.awaitMore(p, 200)
		select {
		case <-m.life.Failed():
			t.Fatalf("the node failed: %v", m.life.Err())
		default:
		}
	}
	c.awaitMore(p, 200)
	m.disk.short.Store(true)
	standStill()
	m.disk.short.Store(true)
	m.again()
	standStill()
	p.stop()
	c.wantAll(p)
}
