package broker_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/disk"
)

// synced lists the segment files of a group on a node that a sync has covered, at
// least in part, from the oldest.
func (c *cluster) synced(name env.Endpoint, group string) []string {
	c.t.Helper()
	d := c.hosts[name].Disk
	all := slices.DeleteFunc(d.Names(), func(f string) bool {
		return !strings.HasPrefix(f, "groups/"+group+"/") || len(d.Platter(f)) < 2100 && group != "0" || len(d.Platter(f)) == 0
	})
	if len(all) == 0 {
		c.t.Fatalf("%s has no synced segment of group %s", name, group)
	}
	return all
}

func newest(files []string) string { return files[len(files)-1] }

// filled is a cluster with a topic of several segments, synced up to near its end.
func filled(t *testing.T, seed uint64) *cluster {
	c := newCluster(t, seed, three...)
	c.full(three...)
	c.elect(1, three...)
	c.fill(60, three...)
	c.run(env.Second)
	return c
}

// sameFile reports whether two nodes have the same bytes of a segment.
func (c *cluster) sameFile(file string, a, b env.Endpoint) bool {
	base := file[strings.LastIndexByte(file, '/')+1:]
	mine, theirs := c.segments(a, 1)[base], c.segments(b, 1)[base]
	return len(mine) > 0 && bytes.Equal(mine, theirs)
}

// Damage that nobody reads is found by the scrub and restored, wherever it is: in a
// state frame, in the middle, in the newest segment; a changed bit or a lost sector.
func TestScrubRestores(t *testing.T) {
	c := filled(t, 31)
	files := c.synced("n2:1", "1")
	for _, file := range []string{files[0], files[1], newest(files)} {
		for _, position := range []int64{3, 60, 2000} {
			for _, lose := range []bool{false, true} {
				d := c.hosts["n2:1"].Disk
				done := d.Flip(file, position, 5)
				if lose {
					done = d.Lose(file, position)
				}
				if !done {
					t.Fatalf("%s has no synced byte %d", file, position)
				}
				c.waitFor("whole "+file, func() bool { return d.Spoilt() == "" && c.sameFile(file, "n2:1", "n3:1") })
			}
		}
	}
	c.expectFine()
}

// A fetch that meets damage is told to come back, and gets the records then. Nobody is
// ever given a damaged byte.
func TestFetchMeetsDamage(t *testing.T) {
	c := newCluster(t, 32, three...)
	c.full(three...)
	c.elect(1, three...)
	c.fill(1200, three...) // beyond what is kept in memory
	d := c.hosts["n1:1"].Disk
	for _, file := range c.synced("n1:1", "1")[:3] {
		d.Flip(file, 1000, 1)
	}
	told := false
	c.waitFor("the records", func() bool {
		r := c.ask("n1:1", fetching(fetch("t", 0)))
		told = told || r.GetError().GetCode() == api.Code_LOG_DAMAGED
		if r.GetFetch() != nil && bytes.Count(r.GetFetch().GetBatches(), []byte("x")) == 0 {
			t.Error("a fetch is answered with other records")
		}
		return r.GetFetch() != nil
	})
	if !told {
		t.Error("the damage met no fetch: the test shows nothing")
	}
	c.expectFine()
}

// A node whose newest segment was damaged while it was down starts, restores it and
// takes part again; of the meta group's log too, before it knows anybody. What was read of a
// log before the damage is not to be relied on: the founder's meta begins with itself alone.
func TestDamageFoundAtTheStart(t *testing.T) {
	for _, group := range []string{"0", "1"} {
		for _, name := range three[:2] {
			for part := range int64(5) {
				t.Run(fmt.Sprintf("group %s of %s, part %d", group, name, part), func(t *testing.T) {
					c := filled(t, 33)
					c.fill(1200, three...) // so much that the meta group's log is promised, too
					c.run(20 * env.Second)
					c.hosts[name].Kill()
					file, d := newest(c.synced(name, group)), c.hosts[name].Disk
					d.Flip(file, max(20, int64(len(d.Platter(file)))*part/5), 3)
					c.again(name)
					c.waitFor("whole "+file, func() bool { return d.Spoilt() == "" })
					c.elect(c.nodeAt(name, three...), three...)
					c.fill(1, name)
					c.expectFine()
				})
			}
		}
	}
}

// A node that comes back with a damaged log when the others have given up all of it
// gets another replica.
func TestLogThatIsGoneEverywhere(t *testing.T) {
	c := filled(t, 34)
	c.hosts["n2:1"].Kill()
	c.fill(60, "n1:1", "n3:1")
	c.ok(func() *api.Request { return trim("t", 120) }, "n1:1", "n3:1")
	c.fill(60, "n1:1", "n3:1")
	file, d := newest(c.synced("n2:1", "1")), c.hosts["n2:1"].Disk
	if c.segments("n1:1", 1)[file[strings.LastIndexByte(file, '/')+1:]] != nil {
		t.Fatal("the others have it still: the test shows nothing")
	}
	d.Flip(file, 20, 3)
	c.start("n2:1", func(*broker.Config) {})
	c.waitFor("new replica", func() bool {
		return slices.ContainsFunc(c.partition("n1:1", "n3:1").GetReplicas(), func(r *api.ReplicaInfo) bool {
			return !r.Adding && r.Replica > uint64(len(three))
		})
	})
	c.elect(c.nodeAt("n2:1", three...), three...)
	c.fill(1, "n2:1")
	c.expectFine()
}

// A replica whose topic is deleted while its damaged log is looked through, restored or
// read again ends with it: that its files are gone is no failure of the disk.
func TestGivenUpWhileRestored(t *testing.T) {
	for _, hurt := range []func(*disk.Disk, string){
		func(d *disk.Disk, file string) { d.Flip(file, 20, 3) },
		func(d *disk.Disk, _ string) { d.ReadStale() },
	} {
		for _, factor := range []int64{1, 20, 50, 100, 200} {
			c := filled(t, 35)
			c.fill(1200, three...) // so that there is much to look through
			c.hosts["n2:1"].Kill()
			d := c.hosts["n2:1"].Disk
			hurt(d, newest(c.synced("n2:1", "1")))
			c.ok(func() *api.Request {
				return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic("t")}}}
			}, "n1:1", "n3:1")
			d.Slow(factor)
			c.start("n2:1", func(*broker.Config) {})
			c.waitFor("end of the replica", func() bool {
				return !slices.ContainsFunc(d.Names(), func(f string) bool { return strings.HasPrefix(f, "groups/1/") })
			})
			c.run(5 * env.Second)
			c.expectFine()
		}
	}
}

// A log that cannot be read once, because the disk gave what it had before a write, is
// read again; so it is if that happens a few times.
func TestStaleReadAtTheStart(t *testing.T) {
	for times := range 6 {
		c := filled(t, 36)
		c.hosts["n2:1"].Kill()
		for range times {
			c.hosts["n2:1"].Disk.ReadStale()
		}
		c.start("n2:1", func(*broker.Config) {})
		c.elect(c.nodeAt("n2:1", three...), three...)
		c.fill(1, "n2:1")
		c.expectFine()
	}
}
