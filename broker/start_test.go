package broker_test

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/sim/disk"
)

// A process may end between the writing of its identity and the sync. The next one finds it,
// but perhaps in the system's memory only, and makes it durable before it is that node.
func TestIdentityIsDurableBeforeItIsUsed(t *testing.T) {
	c := newCluster(t, 29, "n1:1")
	c.full("n1:1")
	joins := func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n1:1"} }
	c.start("n2:1", joins)
	host := c.hosts["n2:1"]
	host.Disk.Slow(100)
	for range 10_000 {
		if c.run(env.Millisecond); host.Disk.Contents("identity") != nil {
			break
		}
	}
	host.Kill()
	durable := func() bool { return bytes.Equal(host.Disk.Contents("identity"), host.Disk.Platter("identity")) }
	if host.Disk.Contents("identity") == nil || durable() {
		t.Fatal("the process did not end between the writing and the sync")
	}
	host.Disk.Slow(1)
	c.start("n2:1", joins)
	c.waitFor("the second node", c.nodes["n2:1"].Serves)
	if !durable() {
		t.Error("the node serves under an identity that a power failure takes")
	}
	c.expectFine()
}

// What a node promised stands in its journal. Where that is gone, or who the node is, it
// does not go on with the rest, and leaves that as it is.
func TestPartOfADiskIsNotEnough(t *testing.T) {
	for _, lost := range []struct {
		what    string
		folders []string
		init    bool
		want    error
	}{
		{"its journal", []string{"journal/"}, false, journal.ErrDamaged},
		{"its identity", []string{""}, true, broker.ErrIdentity},
		{"all but its groups", []string{"", "journal/"}, true, journal.ErrDamaged},
	} {
		const node = "n1:1"
		c := newCluster(t, 6, node)
		c.settle(func() *api.Request { return createTopic("t", 1) }, node)
		c.run(env.Second)
		c.hosts[node].Kill()
		d := c.hosts[node].Disk
		for _, folder := range lost.folders {
			d.Empty(folder)
		}
		groups := func() (n int) {
			for _, name := range d.Names() {
				if strings.HasPrefix(name, "groups/") {
					n++
				}
			}
			return n
		}
		before := groups()
		c.start(node, func(cfg *broker.Config) { cfg.Init = lost.init })
		c.run(3 * env.Second)
		if err := c.failed[node]; !errors.Is(err, lost.want) {
			t.Errorf("without %s: %v, want %v", lost.what, err, lost.want)
		}
		if before == 0 || groups() != before {
			t.Errorf("without %s: of %d files of groups %d are left", lost.what, before, groups())
		}
	}
}

// Whoever has the identity of one node and the journal of another has promised nothing that
// it knows of. It says so, and touches nothing.
func TestMixedDisksAreRefused(t *testing.T) {
	c := newCluster(t, 7, three...)
	c.settle(func() *api.Request { return createTopic("t", 1) }, three...)
	c.run(5 * env.Second)
	names := func(n env.Endpoint) int { return len(c.hosts[n].Disk.Names()) }
	before := map[env.Endpoint]int{}
	for _, n := range three[1:] {
		c.hosts[n].Kill()
		before[n] = names(n)
		if slices.Contains(c.hosts[n].Disk.Names(), "token") {
			t.Errorf("%s keeps the token that it joined with", n)
		}
	}
	c.hosts[three[1]].Disk.Exchange(c.hosts[three[2]].Disk, "journal/")
	for _, n := range three[1:] {
		c.start(n, func(*broker.Config) {})
	}
	c.run(5 * env.Second)
	for _, n := range three[1:] {
		if err := c.failed[n]; !errors.Is(err, broker.ErrMixed) || names(n) != before[n] {
			t.Errorf("%s: %v, want ErrMixed; of %d files there are %d", n, err, before[n], names(n))
		}
	}
}

func TestEmptyDiskNeedsACluster(t *testing.T) {
	c := newCluster(t, 4)
	c.start("n1:1", func(*broker.Config) {})
	c.run(env.Second)
	if !errors.Is(c.failed["n1:1"], broker.ErrNoCluster) {
		t.Errorf("failed with %v, want ErrNoCluster", c.failed["n1:1"])
	}
}

func TestDiskOfAnotherCluster(t *testing.T) {
	c := newCluster(t, 5, "n1:1")
	c.start("m1:1", func(cfg *broker.Config) { cfg.Init = true })
	c.run(3 * env.Second)
	c.hosts["m1:1"].Kill()
	c.start("m1:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n1:1"} })
	c.run(3 * env.Second)
	if !errors.Is(c.failed["m1:1"], broker.ErrWrongCluster) {
		t.Errorf("failed with %v, want ErrWrongCluster", c.failed["m1:1"])
	}
	c.start("m1:1", func(*broker.Config) {})
	c.run(3 * env.Second)
	if r := c.ask("m1:1", createTopic("t", 1)); r.GetError() != nil {
		t.Errorf("without --join the node answers %v, want a topic", r)
	}
}

// A joiner that no cluster answers goes on asking, and serves nothing.
func TestJoinerWithoutCluster(t *testing.T) {
	c := newCluster(t, 3)
	c.start("n2:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n1:1"} })
	c.run(10 * env.Second)
	if r := c.ask("n2:1", createTopic("t", 1)); r.GetError().GetCode() != api.Code_NOT_READY {
		t.Errorf("a node without a cluster answers %v, want NOT_READY", r)
	}
	c.start("n1:1", func(cfg *broker.Config) { cfg.Init = true })
	c.settle(func() *api.Request { return createTopic("t", 1) }, "n1:1", "n2:1")
}

// loseBatches has a journal lose its last batches, which nobody can tell from a torn end.
func loseBatches(d *disk.Disk, lost int) {
	type place struct {
		journal.Header
		file string
		at   int64
	}
	var batches []place
	for _, file := range d.Names() {
		if !strings.HasPrefix(file, "journal/") {
			continue
		}
		all := d.Contents(file)
		for rest := all; ; {
			b, next, err := journal.DecodeBatch(rest)
			if err != nil {
				break
			}
			batches = append(batches, place{b.Header, file, int64(len(all) - len(rest))})
			rest = next
		}
	}
	slices.SortFunc(batches, func(a, b place) int { return cmp.Compare(a.Number, b.Number) })
	for _, b := range batches[len(batches)-lost:] {
		d.Flip(b.file, b.at+20, 1)
	}
}

// What is applied was in the journal, durably, before. If that has lost its last batches, the
// segments give it away.
func TestJournalBehindWhatIsApplied(t *testing.T) {
	const node = "n1:1"
	c := newCluster(t, 8, node)
	c.settle(func() *api.Request { return createTopic("t", 1) }, node)
	c.fill(20, node)
	c.hosts[node].Kill()
	loseBatches(c.hosts[node].Disk, 12)
	c.again(node)
	c.run(3 * env.Second)
	if err := c.failed[node]; !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("the node ends with %v", err)
	}
}

// A node whose journal has less than it has acknowledged, as an older copy of it has, ends
// once a leader counts on the rest.
func TestJournalBehindWhatWasAcknowledged(t *testing.T) {
	c := newCluster(t, 8, three...)
	c.full(three...)
	c.settle(func() *api.Request { return createTopic("t", 1) }, three...)
	c.elect(1, three...)
	c.fill(5, three...)
	c.run(env.Second)
	const node = "n3:1"
	c.hosts[node].Crash(disk.Crash{Lose: 100})
	loseBatches(c.hosts[node].Disk, 3)
	c.again(node)
	c.run(5 * env.Second)
	if err := c.failed[node]; !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "older copy") {
		t.Errorf("the node ends with %v", err)
	}
}

// A token that the power failure just after its removal brings back gives the identity to
// no other life.
func TestTokenGoesForGood(t *testing.T) {
	c := newCluster(t, 29, three...)
	c.full(three...)
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = three })
	host := c.hosts["n4:1"]
	for range 10_000 {
		c.run(100 * env.Microsecond)
		if !slices.Contains(host.Disk.Names(), "token") && slices.Contains(host.Disk.Names(), "identity") {
			break
		}
	}
	host.Crash(disk.Crash{Lose: 100})
	c.again("n4:1")
	c.waitFor("start", c.nodes["n4:1"].Serves)
	c.run(5 * env.Second)
	_, before := c.nodes["n4:1"].Identity()
	host.Kill()
	if slices.Contains(host.Disk.Names(), "token") {
		t.Error("the token is there still")
	}
	host.Disk.Take("identity")
	host.Disk.Empty("journal/")
	for _, name := range slices.Clone(host.Disk.Names()) {
		if strings.HasPrefix(name, "groups/") {
			host.Disk.Take(name)
		}
	}
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = three })
	c.run(5 * env.Second)
	_, after := c.nodes["n4:1"].Identity()
	if before == after {
		t.Errorf("another life, which knows nothing, has the identity %d again", after)
	}
}

// A node that is told nothing and has a journal is told what it has lost.
func TestIdentityIsLost(t *testing.T) {
	for _, torn := range []bool{false, true} {
		const node = "n1:1"
		c := newCluster(t, 6, node)
		c.full(node)
		c.run(env.Second)
		c.hosts[node].Kill()
		if torn {
			c.hosts[node].Disk.Cut("identity", 20)
		} else {
			c.hosts[node].Disk.Take("identity")
		}
		c.again(node)
		c.run(3 * env.Second)
		if err := c.failed[node]; !errors.Is(err, broker.ErrIdentity) {
			t.Errorf("torn %t: %v", torn, err)
		}
	}
}

// Who founds a cluster with what cannot be is refused, and may try again.
func TestFounderMayTryAgain(t *testing.T) {
	c := newCluster(t, 9)
	c.start(lone, func(cfg *broker.Config) { cfg.Init, cfg.SegmentBytes = true, 2<<30 })
	c.run(3 * env.Second)
	if c.failed[lone] == nil {
		t.Error("segments of 2 GiB are taken")
	}
	delete(c.failed, lone)
	c.start(lone, func(cfg *broker.Config) { cfg.Init = true })
	c.run(3 * env.Second)
	if !c.nodes[lone].Serves() {
		t.Errorf("with segments of 16 KiB it fails, too: %v", c.failed[lone])
	}
}
