package broker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/world"
)

// reads is a disk that notes which files are read.
type reads struct {
	env.Disk
	groups []string
}

func (r *reads) Load(ticket env.Ticket, name string, position int64, length int) {
	if group, ok := strings.CutPrefix(name, "groups/"); ok {
		r.groups = append(r.groups, group[:strings.IndexByte(group, '/')])
	}
	r.Disk.Load(ticket, name, position, length)
}

// most is how many groups were read at a time.
func (r *reads) most() (most int) {
	open := map[string]bool{}
	for i, group := range r.groups {
		open[group] = true
		most = max(most, len(open))
		if !slices.Contains(r.groups[i+1:], group) {
			delete(open, group)
		}
	}
	return most
}

// watchReads starts a node again, which looks for no damage, and notes what it reads.
func (c *cluster) watchReads(name env.Endpoint) *reads {
	c.hosts[name].Kill()
	seen := &reads{}
	c.hosts[name].Start(func(p world.Place) env.Process {
		seen.Disk = p.Disk
		cfg := broker.DefaultConfig()
		cfg.Address, cfg.ScrubBytes = name, 0
		c.nodes[name] = broker.New(cfg, broker.World{Clock: p.Clock, Disk: seen, Network: p.Network, Random: p.Random, Trace: trace.Discard})
		return c.nodes[name]
	})
	return seen
}

// A node that starts reads the logs of a few groups at a time.
func TestFewGroupsAreOpenedAtATime(t *testing.T) {
	c := newCluster(t, 61, "n1:1")
	c.full("n1:1")
	c.ok(func() *api.Request { return createTopic("u", 40) }, "n1:1")
	c.run(env.Second)
	seen := c.watchReads("n1:1")
	c.waitFor("start", c.nodes["n1:1"].Serves)
	if most := seen.most(); most < 2 || most > 8 {
		t.Errorf("%d of 42 groups are read at a time", most)
	}
	c.expectFine()
}

// What was kept in memory of a log goes when nobody has used it for a minute.
func TestIdleLogIsReadFromTheDisk(t *testing.T) {
	c := newCluster(t, 62, "n1:1")
	c.full("n1:1")
	seen := c.watchReads("n1:1")
	c.fill(3, "n1:1")
	for _, idle := range []env.Time{env.Second, 70 * env.Second} {
		c.run(idle)
		seen.groups = nil
		c.ok(func() *api.Request { return fetching(fetch("t", 0)) }, "n1:1")
		if fromDisk := len(seen.groups) > 0; fromDisk != (idle > env.Second) {
			t.Errorf("after %d s a fetch is read from the disk: %t", idle/env.Second, fromDisk)
		}
	}
}
