package broker_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/disk"
)

var three = []env.Endpoint{"n1:1", "n2:1", "n3:1"}

// ok asks the nodes in turn until one gives a final answer, which must not be an
// error.
func (c *cluster) ok(q func() *api.Request, nodes ...env.Endpoint) *api.Response {
	c.t.Helper()
	r := c.settle(q, nodes...)
	if r.GetError() != nil {
		c.t.Fatalf("%v: %v", q(), r.GetError())
	}
	return r
}

// full waits until all nodes vote, and makes topic "t" of one partition.
func (c *cluster) full(nodes ...env.Endpoint) {
	c.t.Helper()
	c.waitFor(fmt.Sprintf("%d voters", len(nodes)), func() bool {
		voters := slices.DeleteFunc(c.metadata(nodes...).GetNodes(), func(n *api.NodeInfo) bool { return !n.GetMetaVoter() })
		return len(voters) == len(nodes)
	})
	c.ok(func() *api.Request { return createTopic("t", 1) }, nodes...)
	c.waitFor("leader", func() bool { return c.partition(nodes...).GetLeader() != 0 })
}

func (c *cluster) metadata(nodes ...env.Endpoint) *api.MetadataResponse {
	q := func() *api.Request {
		return &api.Request{Body: &api.Request_Metadata{Metadata: &api.MetadataRequest{Linearizable: true}}}
	}
	return c.settle(q, nodes...).GetMetadata()
}

func (c *cluster) partition(nodes ...env.Endpoint) *api.PartitionInfo {
	return c.metadata(nodes...).GetTopics()[0].GetPartitions()[0]
}

func (c *cluster) waitFor(what string, done func() bool) {
	c.t.Helper()
	for range 600 {
		if done() {
			return
		}
		c.run(50 * env.Millisecond)
	}
	c.t.Fatalf("no %s in 30 s", what)
}

// fill produces records of 1 KiB to t/0.
func (c *cluster) fill(n int, nodes ...env.Endpoint) {
	c.t.Helper()
	data := records(c.t, batch.NoProducer, strings.Repeat("x", 1024))
	for range n {
		c.ok(func() *api.Request { return produce("t", 0, data) }, nodes...)
	}
}

func (c *cluster) move(from, to uint64, nodes ...env.Endpoint) {
	c.t.Helper()
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{Topic: topic("t"), From: from, To: to}}}
	}, nodes...)
	c.waitFor("end of the move", func() bool {
		return !slices.ContainsFunc(c.partition(nodes...).GetReplicas(), func(r *api.ReplicaInfo) bool { return r.Adding || r.Removing })
	})
}

func (c *cluster) elect(node uint64, nodes ...env.Endpoint) {
	c.t.Helper()
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{Topic: topic("t"), Node: node}}}
	}, nodes...)
	c.waitFor("new leader", func() bool { return c.partition(nodes...).GetLeader() == node })
}

// segments gives the segment files of a group on a node, by name without folder.
func (c *cluster) segments(name env.Endpoint, group uint64) map[string][]byte {
	files := make(map[string][]byte)
	for _, file := range c.hosts[name].Disk.Names() {
		if strings.HasPrefix(file, fmt.Sprintf("groups/%d/", group)) {
			files[file[strings.LastIndexByte(file, '/')+1:]] = c.hosts[name].Disk.Contents(file)
		}
	}
	return files
}

// A node that joins behind the log's start gets a replica by a snapshot, the same
// bytes as its peers', and can lead. The node that gives its replica up keeps no
// file of it, and can be removed.
func TestJoinerBehindTheLogStart(t *testing.T) {
	c := newCluster(t, 11, three...)
	c.full(three...)
	c.fill(100, three...)
	c.ok(func() *api.Request { return trim("t", 60) }, three...)
	c.run(env.Second)
	if _, there := c.segments("n1:1", 1)["00000000000000000001.seg"]; there {
		t.Fatal("no leading segment was unlinked: the test shows nothing")
	}
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n2:1"} })
	four := append(slices.Clone(three), "n4:1")
	c.waitFor("fourth node", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	joined := c.nodeAt("n4:1", three...)
	c.move(1, joined, three...)
	c.elect(joined, four...)
	c.fill(1, "n4:1")
	r := c.ok(func() *api.Request { return fetching(fetch("t", 60)) }, "n4:1")
	if r.GetFetch().GetHighWatermark() != 101 || r.GetFetch().GetLogStart() != 60 {
		t.Errorf("the new leader has %d to %d, want 60 to 101", r.GetFetch().GetLogStart(), r.GetFetch().GetHighWatermark())
	}
	c.waitFor("equal files", func() bool {
		mine, theirs := c.segments("n4:1", 1), c.segments("n2:1", 1)
		equal := len(mine) > 0
		for name, data := range mine {
			equal = equal && bytes.Equal(theirs[name], data)
		}
		return equal
	})
	c.waitFor("end of the old replica", func() bool { return len(c.segments("n1:1", 1)) == 0 })
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_RemoveNode{RemoveNode: &api.RemoveNodeRequest{Node: 1}}}
	}, four...)
	c.waitFor("three nodes", func() bool { return len(c.metadata("n2:1", "n3:1", "n4:1").GetNodes()) == 3 })
	c.expectFine()
}

// nodeAt is the number of the node at an address.
func (c *cluster) nodeAt(address env.Endpoint, nodes ...env.Endpoint) uint64 {
	for _, n := range c.metadata(nodes...).GetNodes() {
		if n.GetAddress() == string(address) {
			return n.GetId()
		}
	}
	c.t.Fatalf("no node at %s", address)
	return 0
}

func (c *cluster) expectFine() {
	for name, err := range c.failed {
		c.t.Errorf("node %s failed: %v", name, err)
	}
}

// A topic that is deleted leaves no file, and one created again by its name is
// another topic, also after the power failed on all nodes.
func TestTopicDeletedAndMadeAgain(t *testing.T) {
	c := newCluster(t, 12, three...)
	c.full(three...)
	c.fill(20, three...)
	first := c.metadata(three...).GetTopics()[0].GetId()
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic("t")}}}
	}, three...)
	for _, name := range three {
		c.waitFor("end of the files", func() bool { return len(c.segments(name, 1)) == 0 })
		c.waitFor("end of the folder", func() bool { return !slices.Contains(c.hosts[name].Disk.Folders(), "groups/1/") })
	}
	c.ok(func() *api.Request { return createTopic("t", 1) }, three...)
	c.fill(1, three...)
	for _, name := range three {
		c.hosts[name].Crash(disk.Crash{Lose: 100})
	}
	for _, name := range three {
		c.start(name, func(*broker.Config) {})
	}
	again := c.metadata(three...).GetTopics()
	if len(again) != 1 || again[0].GetId() == first {
		t.Fatalf("after the power failure there is %v; the first had id %d", again, first)
	}
	r := c.ok(func() *api.Request { return fetching(fetch("t", 0)) }, three...)
	if r.GetFetch().GetHighWatermark() != 1 {
		t.Errorf("the new topic ends at %d, want 1", r.GetFetch().GetHighWatermark())
	}
	old := fetch("t", 0)
	old.Topic = &api.TopicRef{Id: first}
	if r := c.settle(func() *api.Request { return fetching(old) }, three...); r.GetError().GetCode() != api.Code_UNKNOWN_TOPIC_OR_PARTITION {
		t.Errorf("the old topic's id is answered %v", r)
	}
	c.expectFine()
}

// The marks of groups that are gone go too, on every node, once no recovery can
// find their topics any more.
func TestMarksAreForgotten(t *testing.T) {
	c := newCluster(t, 16, three...)
	c.full(three...)
	const topics = 100 // beyond what may gather
	for range topics {
		c.ok(func() *api.Request { return createTopic("u", 1) }, three...)
		c.ok(func() *api.Request {
			return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic("u")}}}
		}, three...)
	}
	c.run(5 * env.Second)
	for _, name := range three {
		if marks := len(c.nodes[name].Groups()) - 2; marks >= topics {
			t.Errorf("%s still has the marks of %d groups", name, marks)
		}
	}
	c.expectFine()
}

// A node that is asked to stop hands its leadership over before it is done.
func TestShutdownHandsOver(t *testing.T) {
	c := newCluster(t, 13, three...)
	c.full(three...)
	c.elect(1, three...)
	node := c.nodes["n1:1"]
	c.hosts["n1:1"].Do(func(env.Process) { node.Shutdown() })
	begun := c.world.Agenda.Now()
	c.waitFor("end of the shutdown", node.Done)
	if took := c.world.Agenda.Now() - begun; took > 500*env.Millisecond {
		t.Errorf("handing over took %d ms", took/env.Millisecond)
	}
	for _, view := range node.Inspect() {
		if view.Leads {
			t.Errorf("the node still leads group %d", view.Group)
		}
	}
	if e := c.ask("n1:1", produce("t", 0, records(t, batch.NoProducer, "x"))).GetError(); !e.GetCode().Definite() || !e.GetCode().Retriable() {
		t.Errorf("a node that leaves answers %v", e)
	}
	c.hosts["n1:1"].Kill()
	c.fill(1, "n2:1", "n3:1")
}

// A long poll is answered as soon as enough is there, or with nothing once its time
// is up.
func TestLongPoll(t *testing.T) {
	c := newCluster(t, 15, "n1:1")
	c.full("n1:1")
	begun := c.world.Agenda.Now()
	q := fetch("t", 0)
	q.MaxWaitMs = 300
	r := c.ask("n1:1", fetching(q))
	if waited := c.world.Agenda.Now() - begun; r.GetFetch() == nil || len(r.GetFetch().GetBatches()) != 0 || waited < 300*env.Millisecond || waited > 400*env.Millisecond {
		t.Errorf("nothing came as %v after %d ms, want nothing after 300", r, waited/env.Millisecond)
	}
	data := records(t, batch.NoProducer, "x")
	c.client.last++
	id := c.client.last
	waiting := fetch("t", 0)
	waiting.MaxWaitMs, waiting.MinBytes = 10_000, int32(2*len(data))
	c.client.network.Send("n1:1", &api.Message{Body: &api.Message_Request{Request: &api.Request{Id: id, Body: &api.Request_Fetch{Fetch: waiting}}}})
	c.ok(func() *api.Request { return produce("t", 0, data) }, "n1:1")
	c.run(50 * env.Millisecond)
	if c.client.answers[id] != nil {
		t.Fatalf("answered with half of what it waits for: %v", c.client.answers[id])
	}
	c.ok(func() *api.Request { return produce("t", 0, data) }, "n1:1")
	c.run(50 * env.Millisecond)
	if got := len(c.client.answers[id].GetFetch().GetBatches()); got != 2*len(data) {
		t.Errorf("answered with %d bytes, want %d", got, 2*len(data))
	}
}

// A follower that has lost what it acknowledged refuses every append. Its leader
// does not answer each refusal with the same append again: the two would go on as
// fast as the network lets them.
func TestForgetfulFollowerIsNotAskedAtOnce(t *testing.T) {
	c := newCluster(t, 17, three...)
	c.full(three...)
	c.elect(1, three...)
	c.fill(5, three...)
	leader, follower := c.nodes["n1:1"].Inspect()[1], c.nodes["n3:1"].Inspect()[1]
	c.hosts["n3:1"].Kill()
	c.run(100 * env.Millisecond)
	refusal, err := proto.Marshal(&raftpb.Message{
		Type: raftpb.MsgAppResp.Enum(), Term: new(uint64(leader.Term)),
		From: new(uint64(follower.Replica)), To: new(uint64(leader.Replica)),
		Index: new(uint64(follower.Applied)), Reject: new(true), RejectHint: new(uint64(1)), LogTerm: new(uint64(1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	cluster, id := c.nodes["n1:1"].Identity()
	batch := &api.PeerBatch{
		ClusterId: cluster, From: c.nodeAt("n3:1", "n1:1", "n2:1"), To: uint64(id),
		Raft: []*api.RaftMessage{{Group: uint64(leader.Group), Message: refusal}},
	}
	begun, asked := c.world.Agenda.Now(), 0
	c.sent = func(_, to env.Endpoint, m *api.Message) {
		if to == "n3:1" && m.GetPeer() != nil {
			asked++
		}
	}
	for range 50 {
		c.hosts["n1:1"].Do(func(p env.Process) { p.Receive("n3:1", &api.Message{Body: &api.Message_Peer{Peer: batch}}) })
		c.run(env.Microsecond)
	}
	if c.world.Agenda.Now()-begun > env.Millisecond || asked > 1 {
		t.Errorf("50 refusals in less than a millisecond were answered by %d batches", asked)
	}
	c.run(env.Second)
	if asked < 5 {
		t.Errorf("%d batches in a second: the follower is not asked any more", asked)
	}
}

// Heartbeats, and answers to them, for groups and replicas that a node does not hold are
// dropped, whatever term they tell; one for a replica that it holds is not.
func TestHeartbeatsForOthersAreDropped(t *testing.T) {
	c := newCluster(t, 28, three...)
	c.full(three...)
	cluster, id := c.nodes["n3:1"].Identity()
	before := c.nodes["n3:1"].Inspect()
	group, term := uint64(before[1].Group), uint64(before[1].Term)+100
	mine := uint64(before[1].Replica)
	tell := func(list, answers []uint64) broker.GroupView {
		batch := &api.PeerBatch{ClusterId: cluster, From: 1, To: uint64(id), Heartbeats: list, HeartbeatAnswers: answers}
		c.hosts["n3:1"].Do(func(p env.Process) { p.Receive("n1:1", &api.Message{Body: &api.Message_Peer{Peer: batch}}) })
		return c.nodes["n3:1"].Inspect()[1]
	}
	other := mine%3 + 1
	seen := tell(
		[]uint64{99, other, mine, term, 1 << 40, group, other, mine + 7, term, 1 << 40, group, other, other, term, 1 << 40},
		[]uint64{99, other, mine, term, group, other, mine + 7, term},
	)
	if seen.Term != before[1].Term {
		t.Errorf("a heartbeat for another replica raised the term from %d to %d", before[1].Term, seen.Term)
	}
	if seen = tell([]uint64{group, other, mine, term, 0}, nil); uint64(seen.Term) != term {
		t.Errorf("a heartbeat of term %d was not taken: the test shows nothing", term)
	}
	c.run(env.Second)
	c.expectFine()
}

// A follower is offered a snapshot again when the offer was lost, though somebody else
// asks for segments all the time: it is not that one that copies.
func TestLostOfferIsRepeated(t *testing.T) {
	c := newCluster(t, 26, three...)
	c.full(three...)
	c.elect(1, three...)
	c.hosts["n3:1"].Kill()
	c.fill(80, "n1:1", "n2:1")
	c.ok(func() *api.Request { return trim("t", 70) }, "n1:1", "n2:1")
	c.waitFor("log that begins later", func() bool { return c.segments("n1:1", 1)["00000000000000000001.seg"] == nil })
	lost := false
	c.sent = func(_, to env.Endpoint, m *api.Message) {
		offers := slices.ContainsFunc(m.GetPeer().GetRaft(), func(packed *api.RaftMessage) bool {
			offer := &raftpb.Message{}
			return proto.Unmarshal(packed.GetMessage(), offer) == nil && offer.GetType() == raftpb.MsgSnap
		})
		if offers && to == "n3:1" && !lost {
			lost = true
			c.world.StartFault(1, netsim.Fault{Worse: netsim.Profile{Loss: 1_000_000}})
		}
	}
	c.start("n3:1", func(*broker.Config) {})
	c.waitFor("offer", func() bool { return lost })
	c.world.HealFault(1)
	others := &api.Request{Body: &api.Request_CopySegment{CopySegment: &api.CopySegmentRequest{
		Group: 1, Segment: 1, Length: 1,
	}}}
	c.waitFor("follower with the log", func() bool {
		c.ask("n1:1", others)
		return c.nodes["n3:1"].Inspect()[1].Applied == c.nodes["n1:1"].Inspect()[1].Applied
	})
	c.expectFine()
}

// The only replica of a partition moves to another node, and back.
func TestOnlyReplicaMoves(t *testing.T) {
	c := newCluster(t, 18, "n1:1")
	c.full("n1:1")
	c.fill(5, "n1:1")
	c.start("n2:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n1:1"} })
	both := []env.Endpoint{"n1:1", "n2:1"}
	c.waitFor("second node", func() bool { return len(c.metadata(both...).GetNodes()) == 2 })
	for _, way := range [][2]uint64{{1, 2}, {2, 1}} {
		c.move(way[0], way[1], both...)
		c.fill(1, both...)
		if p := c.partition(both...); len(p.GetReplicas()) != 1 || p.GetLeader() != way[1] {
			t.Errorf("after the move from %d to %d: %v", way[0], way[1], p)
		}
	}
	c.expectFine()
}

// A time is looked for among the records that are there, also where the log begins in the
// middle of a batch.
func TestTimeIsSoughtFromTheLogStart(t *testing.T) {
	c := newCluster(t, 27, "n1:1")
	c.full("n1:1")
	for range 2 {
		c.ok(func() *api.Request { return produce("t", 0, records(t, batch.NoProducer, "a", "b", "c")) }, "n1:1")
	}
	c.ok(func() *api.Request { return trim("t", 2) }, "n1:1")
	q := &api.ListOffsetsRequest{Topic: topic("t"), Spec: api.OffsetSpec_AT_TIME}
	r := c.ok(func() *api.Request { return &api.Request{Body: &api.Request_ListOffsets{ListOffsets: q}} }, "n1:1").GetListOffsets()
	if !r.GetFound() || r.GetOffset() != 2 {
		t.Errorf("the first record from time 0 on is %v, want offset 2", r)
	}
	c.expectFine()
}

// That a topic is not there is said only by who knows that meta is no further: a node that
// is cut off has not heard of one that was made since.
func TestUnknownTopicIsLinearizable(t *testing.T) {
	c := newCluster(t, 28, three...)
	c.full(three...)
	c.world.StartFault(1, netsim.Fault{Sides: netsim.Isolate("n3:1", []string{"n1:1", "n2:1"}), Cut: true})
	c.ok(func() *api.Request { return createTopic("u", 1) }, "n1:1", "n2:1")
	asked := produce("u", 0, records(t, batch.NoProducer, "a"))
	if code := c.ask("n3:1", asked).GetError().GetCode(); code != api.Code_META_UNAVAILABLE {
		t.Errorf("a node that is cut off says %v of a topic that it has not heard of", code)
	}
	c.world.HealFault(1)
	c.ok(func() *api.Request { return produce("u", 0, records(t, batch.NoProducer, "a")) }, three...)
	c.expectFine()
}

// A node that led a partition and holds no replica any more does not say that it leads:
// a client that asks nobody else would never find who does.
func TestNodeDoesNotNameItself(t *testing.T) {
	four := append(slices.Clone(three), "n4:1")
	c := newCluster(t, 19, three...)
	c.full(three...)
	c.elect(1, three...)
	c.start("n4:1", func(cfg *broker.Config) { cfg.Join = []env.Endpoint{"n2:1"} })
	c.waitFor("fourth node", func() bool { return len(c.metadata(three...).GetNodes()) == 4 })
	cut := netsim.Fault{Sides: [][]string{{"n1:1"}, {"n2:1", "n3:1", "n4:1"}}, Cut: true}
	c.world.StartFault(1, cut)
	c.run(3 * env.Second)
	c.move(1, c.nodeAt("n4:1", "n2:1", "n3:1"), "n2:1", "n3:1", "n4:1")
	c.world.HealFault(1)
	named := func() uint64 {
		q := &api.MetadataRequest{Topics: []*api.TopicRef{topic("t")}}
		r := c.ask("n1:1", &api.Request{Body: &api.Request_Metadata{Metadata: q}})
		return r.GetMetadata().GetTopics()[0].GetPartitions()[0].GetLeader()
	}
	c.waitFor("end of the old replica", func() bool { return len(c.segments("n1:1", 1)) == 0 })
	if got := named(); got == 1 {
		t.Error("the node says that it leads")
	}
	c.waitFor("leader that all know", func() bool { return named() == c.partition(four[1:]...).GetLeader() })
	c.expectFine()
}

// The end of a topic with many partitions does not hold a node up: its replicas end a few at
// a time.
func TestLargeTopicEndsBitByBit(t *testing.T) {
	const partitions = 4*broker.MaxEnds + 1
	c := newCluster(t, 1, lone)
	c.settle(func() *api.Request { return createTopic("t", partitions) }, lone)
	c.run(env.Second)
	n := c.nodes[lone]
	last, most := n.Open(), 0
	c.ok(func() *api.Request {
		return &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{Topic: topic("t")}}}
	}, lone)
	most = last - n.Open()
	for range 2 * partitions / broker.MaxEnds {
		last = n.Open()
		c.run(broker.DefaultConfig().Tick)
		most = max(most, last-n.Open())
	}
	c.run(env.Second)
	left := 0
	for group := range uint64(partitions) {
		left += len(c.segments(lone, group+1))
	}
	if n.Open() != 1 || left != 0 || most > broker.MaxEnds {
		t.Errorf("%d groups and %d files are left, and %d ended in a tick", n.Open(), left, most)
	}
	c.expectFine()
}
