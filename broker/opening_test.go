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

// A node that starts reads the logs of a few groups at a time.
func TestFewGroupsAreOpenedAtATime(t *testing.T) {
	c := newCluster(t, 61, "n1:1")
	c.full("n1:1")
	c.ok(func() *api.Request { return createTopic("u", 40) }, "n1:1")
	c.run(env.Second)
	c.hosts["n1:1"].Kill()
	seen := &reads{}
	c.hosts["n1:1"].Start(func(p world.Place) env.Process {
		seen.Disk = p.Disk
		cfg := broker.DefaultConfig()
		cfg.Address = "n1:1"
		n := broker.New(cfg, broker.World{Clock: p.Clock, Disk: seen, Network: p.Network, Random: p.Random, Trace: trace.Discard})
		c.nodes["n1:1"] = n
		return n
	})
	c.waitFor("start", c.nodes["n1:1"].Serves)
	if most := seen.most(); most < 2 || most > 8 {
		t.Errorf("%d of 42 groups are read at a time", most)
	}
	c.expectFine()
}
