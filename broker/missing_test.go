package broker_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/netsim"
)

// again starts a node on the disk that it has.
func (c *cluster) again(name env.Endpoint) { c.start(name, func(*broker.Config) {}) }

// longLog is a cluster with a log of which little is kept in memory, led by the first node,
// and the synced segments of that.
func longLog(t *testing.T, seed uint64) (*cluster, []string) {
	c := newCluster(t, seed, three...)
	c.full(three...)
	c.elect(1, three...)
	c.fill(1200, three...)
	c.run(2 * env.Second)
	return c, c.synced("n1:1", "1")
}

// The oldest segments of a log are gone: the node leads all the same, says that it cannot
// read them, and has them restored from the others.
func TestOldestSegmentsAreMissing(t *testing.T) {
	c, files := longLog(t, 41)
	c.hosts["n1:1"].Kill()
	for _, file := range files[:2] {
		c.hosts["n1:1"].Disk.Take(file)
	}
	for _, peer := range three[1:] {
		c.hosts[peer].Disk.Slow(3000) // so that it takes a while to get them
	}
	c.again("n1:1")
	c.waitFor("start", c.nodes["n1:1"].Serves)
	for _, peer := range three[1:] {
		c.hosts[peer].Disk.Slow(1)
	}
	c.elect(1, three...)
	c.waitFor("whole log", func() bool { return c.sameFile(files[0], "n1:1", "n2:1") && c.sameFile(files[1], "n1:1", "n2:1") })
	c.ok(func() *api.Request { return fetching(fetch("t", 0)) }, "n1:1")
	c.expectFine()
}

// As long as a log lacks its oldest segment, and nobody is there who has it, whoever asks
// for its records is told to come back, no replica is made from it, and another replica
// that lacks the segment too does not take it for given up.
func TestMissingSegmentDoesNotSpread(t *testing.T) {
	c, files := longLog(t, 42)
	for _, name := range three {
		c.hosts[name].Kill()
	}
	for _, name := range three[:2] {
		file := files[0]
		if name != three[0] {
			file = c.synced(name, "1")[0]
		}
		if !c.hosts[name].Disk.Take(file) {
			t.Fatalf("%s has no %s", name, file)
		}
		c.again(name)
	}
	c.elect(1, three[:2]...)
	at := c.nodes["n1:1"]
	if r := c.ask("n1:1", fetching(fetch("t", 0))); r.GetError().GetCode() != api.Code_LOG_DAMAGED {
		t.Errorf("a fetch of what is missing is answered %v", r)
	}
	lost := &api.Request{Body: &api.Request_CopySegment{CopySegment: &api.CopySegmentRequest{Group: 1, Segment: 1, Length: 1}}}
	if r := c.ask("n1:1", lost); r.GetError().GetCode() != api.Code_LOG_DAMAGED {
		t.Errorf("whoever mends its log is told %v", r)
	}
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n2:1"} })
	c.waitFor("fourth node", func() bool { return len(c.metadata("n1:1", "n2:1").GetNodes()) == 4 })
	from, to := c.nodeAt("n3:1", "n1:1", "n2:1"), c.nodeAt("n4:1", "n1:1", "n2:1")
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic("t"), From: from, To: to}}}
	}, "n1:1", "n2:1")
	c.run(5 * env.Second)
	if len(c.segments("n4:1", 1)) > 0 {
		t.Error("a replica is made from a log that lacks its oldest segment")
	}
	c.again("n3:1")
	base := files[0][strings.LastIndexByte(files[0], '/')+1:]
	c.waitFor("whole logs", func() bool {
		return c.segments("n1:1", 1)[base] != nil && c.segments("n2:1", 1)[base] != nil && c.segments("n4:1", 1)[base] != nil
	})
	if c.nodes["n1:1"] != at {
		t.Error("the node did not live on")
	}
	c.expectFine()
}

// What is missing of a log, and retention gives up, need not be restored.
func TestMissingSegmentThatIsGivenUp(t *testing.T) {
	c, files := longLog(t, 43)
	for _, name := range three {
		c.hosts[name].Kill()
		c.hosts[name].Disk.Take(c.synced(name, "1")[0])
	}
	for _, name := range three {
		c.again(name)
	}
	c.elect(1, three...)
	c.ok(func() *api.Request { return trim("t", 100) }, three...)
	c.fill(60, three...)
	c.ok(func() *api.Request { return fetching(fetch("t", 100)) }, "n1:1")
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n2:1"} })
	c.waitFor("fourth node", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	c.move(c.nodeAt("n3:1", three...), c.nodeAt("n4:1", three...), three...)
	if base := files[0][strings.LastIndexByte(files[0], '/')+1:]; c.segments("n1:1", 1)[base] != nil {
		t.Errorf("%s is there again", base)
	}
	c.expectFine()
}

// A segment in the middle of a log is gone, or has another length: it is restored, also
// when the node starts, and while it runs. Nothing is copied again after that.
func TestOlderSegmentIsMissingOrOfAnotherLength(t *testing.T) {
	for _, down := range []bool{true, false} {
		for _, what := range []string{"gone", "cut", "cut at a frame's end", "longer"} {
			if !down && what == "longer" {
				continue // what is beyond the end is not read
			}
			t.Run(what, func(t *testing.T) {
				c, files := longLog(t, 44)
				d, file := c.hosts["n1:1"].Disk, files[2]
				if down {
					c.hosts["n1:1"].Kill()
				}
				size := int64(len(d.Contents(file)))
				switch what {
				case "gone":
					d.Take(file)
				case "cut":
					d.Cut(file, size/2)
				case "cut at a frame's end":
					d.Cut(file, lastFrame(d.Contents(file)))
				case "longer":
					d.Cut(file, size+100)
				}
				if down {
					c.again("n1:1")
				}
				c.waitFor("whole "+file, func() bool { return c.sameFile(file, "n1:1", "n2:1") })
				c.run(2 * env.Second)
				copied := 0
				c.sent = func(_, _ env.Endpoint, m *api.Message) {
					copied += len(m.GetResponse().GetCopySegment().GetData())
				}
				c.run(20 * env.Second)
				if copied > 0 {
					t.Errorf("%d bytes were copied after it was whole", copied)
				}
				c.elect(1, three...)
				c.ok(func() *api.Request { return fetching(fetch("t", 40)) }, "n1:1")
				c.expectFine()
			})
		}
	}
}

// lastFrame is where the last frame of a segment begins.
func lastFrame(data []byte) int64 {
	for rest := data; ; {
		_, next, err := segment.DecodeFrame(1, rest)
		if err != nil || len(next) == 0 {
			return int64(len(data) - len(rest))
		}
		rest = next
	}
}

// loseLog ends a node and takes every file of its first partition's log.
func (c *cluster) loseLog(name env.Endpoint) {
	host := c.hosts[name]
	host.Kill()
	for _, file := range slices.Clone(host.Disk.Names()) {
		if strings.HasPrefix(file, "groups/1/") {
			host.Disk.Take(file)
		}
	}
}

// A node whose log has no file any more gets all of it from the others.
func TestAllSegmentsAreMissing(t *testing.T) {
	c, files := longLog(t, 45)
	c.loseLog("n1:1")
	c.again("n1:1")
	c.waitFor("whole log", func() bool { return c.sameFile(files[0], "n1:1", "n2:1") })
	c.elect(1, three...)
	c.ok(func() *api.Request { return fetching(fetch("t", 0)) }, "n1:1")
	c.expectFine()
}

// A log of which the others have gone on is given up, though one of them is not heard: what it
// does not say is no reason to begin the count of those who have nothing anew.
func TestLogThatIsGoneBesideASilentPeer(t *testing.T) {
	c, _ := longLog(t, 48)
	c.loseLog("n1:1")
	rest := three[1:]
	c.fill(2000, rest...)
	c.ok(func() *api.Request { return trim("t", 3000) }, rest...)
	c.fill(100, rest...)
	c.run(5 * env.Second)
	c.again("n1:1")
	c.world.StartFault(1, netsim.Fault{Sides: [][]string{{"n1:1"}, {"n3:1"}}, Cut: true})
	for range 120 {
		c.run(env.Second)
		if slices.ContainsFunc(c.partition(rest...).GetReplicas(), func(r *api.ReplicaInfo) bool {
			return r.Node == 1 && r.Replica > uint64(len(three))
		}) {
			c.world.HealFault(1)
			c.run(10 * env.Second)
			c.elect(1, three...)
			c.ok(func() *api.Request { return fetching(fetch("t", 3000)) }, "n1:1")
			c.expectFine()
			return
		}
	}
	t.Error("after 120 s the log is not given up")
}

// A log that does not open though none of its files is damaged is given up, and not the
// node: another replica takes its place.
func TestLogThatIsNotTheOneThatWasWritten(t *testing.T) {
	c, files := longLog(t, 46)
	host := c.hosts["n1:1"]
	host.Kill()
	stray := host.Disk.Open(func(func(env.Process)) {})
	stray.Create(files[1][:len(files[1])-len("0.seg")]+"9.seg", 0)
	c.again("n1:1")
	c.waitFor("new replica", func() bool {
		return slices.ContainsFunc(c.partition(three...).GetReplicas(), func(r *api.ReplicaInfo) bool {
			return r.Node == 1 && !r.Adding && r.Replica > uint64(len(three))
		})
	})
	c.elect(1, three...)
	c.ok(func() *api.Request { return fetching(fetch("t", 0)) }, "n1:1")
	c.expectFine()
}

// Segments of two partitions that have changed places, of one index and length, are taken
// for damaged, and each gets its own back.
func TestSegmentsOfTwoPartitionsChangePlaces(t *testing.T) {
	c := newCluster(t, 47, three...)
	c.full(three...)
	c.ok(func() *api.Request { return createTopic("u", 1) }, three...)
	a, b := records(t, batch.NoProducer, strings.Repeat("a", 1024)), records(t, batch.NoProducer, strings.Repeat("b", 1024))
	for range 1200 {
		c.ok(func() *api.Request { return produce("t", 0, a) }, three...)
		c.ok(func() *api.Request { return produce("u", 0, b) }, three...)
	}
	c.run(2 * env.Second)
	d := c.hosts["n1:1"].Disk
	mine, other := c.synced("n1:1", "1")[0], c.synced("n1:1", "2")[0]
	c.hosts["n1:1"].Kill()
	d.Swap(mine, other)
	c.again("n1:1")
	c.elect(1, three...)
	c.waitFor("its own records", func() bool {
		r := c.ask("n1:1", fetching(fetch("t", 0)))
		if bytes.Contains(r.GetFetch().GetBatches(), []byte("bbbb")) {
			t.Fatal("a fetch is answered with another topic's records")
		}
		return r.GetFetch() != nil && c.sameFile(mine, "n1:1", "n2:1")
	})
	c.expectFine()
}

// A crash while what is being restored is given up by retention leaves a log that opens by
// itself: two of three that lose power together need no third.
func TestCrashWhileWhatIsRestoredIsGivenUp(t *testing.T) {
	c, files := longLog(t, 43)
	base := func(i int) string { return files[i][len(files[i])-24:] }
	two := three[:2]
	for _, n := range two {
		c.hosts[n].Kill()
		file := files[0]
		if n != "n1:1" {
			file = c.synced(n, "1")[0]
		}
		c.hosts[n].Disk.Take(file)
	}
	for _, n := range two {
		c.start(n, func(cfg *broker.Config) { cfg.CopyBytes, cfg.CopyRate = 2<<10, 500 })
	}
	c.waitFor("first piece", func() bool { return c.segments("n1:1", 1)[base(0)] != nil && c.segments("n2:1", 1)[base(0)] != nil })
	c.ok(func() *api.Request { return trim("t", 300) }, three...)
	hole := func(n env.Endpoint) bool { s := c.segments(n, 1); return s[base(0)] != nil && s[base(1)] == nil }
	for range 100 {
		c.fill(1, three...)
		if hole("n1:1") && hole("n2:1") {
			break
		}
	}
	c.run(5 * env.Millisecond)
	for _, n := range three {
		c.hosts[n].Kill()
	}
	for _, n := range two {
		c.again(n)
	}
	c.run(60 * env.Second)
	for _, n := range two {
		if r := c.ask(n, fetching(fetch("t", 400))); r.GetFetch() != nil {
			return
		}
	}
	t.Error("after 60 s nobody leads, though two of three are there, with all that is kept")
}

// While nobody is there who has a missing segment, others are restored all the same.
func TestMissingSegmentHoldsNoOtherUp(t *testing.T) {
	c, files := longLog(t, 42)
	for _, name := range three {
		c.hosts[name].Kill()
	}
	for _, name := range three[:2] {
		file := files[0]
		if name != three[0] {
			file = c.synced(name, "1")[0]
		}
		c.hosts[name].Disk.Take(file)
		c.again(name)
	}
	c.elect(1, three[:2]...)
	d, file := c.hosts["n1:1"].Disk, files[3]
	if !d.Flip(file, 1000, 5) {
		t.Fatal("no such byte")
	}
	if c.sameFile(file, "n1:1", "n2:1") {
		t.Fatal("not damaged")
	}
	c.run(300 * env.Second)
	if !c.sameFile(file, "n1:1", "n2:1") {
		t.Errorf("after 300 s %s is not restored from n2, which has it whole", file)
	}
}

// An old segment that nobody reads was cut behind its state frame: it is found, and a replica
// can be made from the log.
func TestSegmentOfItsStateAlone(t *testing.T) {
	c, files := longLog(t, 44)
	d, file := c.hosts["n1:1"].Disk, files[1]
	c.hosts["n1:1"].Kill()
	fr, _, err := segment.DecodeFrame(1, d.Contents(file))
	if err != nil {
		t.Fatal(err)
	}
	d.Cut(file, int64(42+len(fr.Data)))
	c.again("n1:1")
	c.elect(1, three...)
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n2:1"} })
	c.waitFor("fourth node", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	from, to := c.nodeAt("n3:1", three...), c.nodeAt("n4:1", three...)
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic("t"), From: from, To: to}}}
	}, three...)
	c.run(120 * env.Second)
	if !c.sameFile(file, "n1:1", "n2:1") {
		t.Errorf("after 120 s %s is not restored on n1", file)
	}
	if c.segments("n4:1", 1)[file[len(file)-24:]] == nil {
		t.Errorf("after 120 s the move has not copied the log: %s", c.partition(three...))
	}
}

// A log that does not open is lost while the meta group's own is still being restored.
func TestLogIsLostBeforeMetaIsOpen(t *testing.T) {
	c, _ := longLog(t, 46)
	for n := range 10 {
		c.ok(func() *api.Request { return createTopic(fmt.Sprint("u", n), 1) }, three...)
	}
	c.fill(1200, three...) // so that the meta group's log is promised, too
	c.run(20 * env.Second)
	files := c.synced("n1:1", "1")
	host := c.hosts["n1:1"]
	host.Kill()
	stray := host.Disk.Open(func(func(env.Process)) {})
	stray.Create(files[1][:len(files[1])-len("0.seg")]+"9.seg", 0) // as in TestLogThatIsNotTheOneThatWasWritten
	meta := newest(c.synced("n1:1", "0"))
	size := int64(len(host.Disk.Platter(meta)))
	if !host.Disk.Flip(meta, size*9/10, 3) { // behind the creation of t
		t.Fatal("no such byte")
	}
	for _, peer := range three[1:] {
		c.hosts[peer].Disk.Slow(3000) // so that it takes a while to get them
	}
	c.again("n1:1")
	c.run(3 * env.Second)
	for _, peer := range three[1:] {
		c.hosts[peer].Disk.Slow(1)
	}
	c.waitFor("new replica", func() bool {
		return slices.ContainsFunc(c.partition(three...).GetReplicas(), func(r *api.ReplicaInfo) bool {
			return r.Node == 1 && !r.Adding && r.Replica > uint64(len(three))
		})
	})
	c.expectFine()
}
