package bundle_test

import (
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/bundle"
)

// sent is a message with its group.
type sent struct {
	group   api.GroupID
	message *raftpb.Message
}

// through sends messages in one batch, as bytes, and gives what comes out.
func through(t interface{ Fatal(...any) }, in []sent) (out []sent, batch *api.PeerBatch) {
	batch = &api.PeerBatch{}
	for _, s := range in {
		before := proto.Size(batch)
		grows := bundle.Add(batch, s.group, s.message)
		// Besides the messages, there are the head of a message and of each list.
		if after := proto.Size(batch); after > before+grows+24 {
			t.Fatal("the batch grew by more than was said", after-before, grows)
		}
	}
	m, err := api.DecodeFrame(api.EncodeFrame(&api.Message{Body: &api.Message_Peer{Peer: batch}}))
	if err != nil {
		t.Fatal(err)
	}
	for group, message := range bundle.Messages(m.GetPeer()) {
		out = append(out, sent{group, proto.CloneOf(message)})
	}
	return out, batch
}

func same(a, b sent) bool { return a.group == b.group && proto.Equal(a.message, b.message) }

func draw(t *rapid.T) sent {
	number := func(name string) *uint64 { return new(rapid.Uint64().Draw(t, name)) }
	kind := rapid.SampledFrom([]raftpb.MessageType{
		raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgApp, raftpb.MsgVote,
	}).Draw(t, "kind")
	m := &raftpb.Message{Type: kind.Enum(), From: number("from"), To: number("to"), Term: number("term")}
	if kind != raftpb.MsgHeartbeatResp {
		m.Commit = number("commit")
	}
	if rapid.Bool().Draw(t, "confirms a read") {
		m.Context = []byte("context")
	}
	return sent{api.GroupID(rapid.Uint64().Draw(t, "group")), m}
}

// What is put in comes out, each with its group: first the messages, then the
// heartbeats, then the answers, each of them in order.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(draw), 0, 30).Draw(t, "messages")
		var want []sent
		for _, kind := range []func(*raftpb.Message) bool{
			func(m *raftpb.Message) bool { return !idle(m) },
			func(m *raftpb.Message) bool { return idle(m) && m.GetType() == raftpb.MsgHeartbeat },
			func(m *raftpb.Message) bool { return idle(m) && m.GetType() == raftpb.MsgHeartbeatResp },
		} {
			for _, s := range in {
				if kind(s.message) {
					want = append(want, s)
				}
			}
		}
		got, _ := through(t, in)
		if len(got) != len(want) {
			t.Fatalf("%d messages come out, want %d", len(got), len(want))
		}
		for i := range got {
			if !same(got[i], want[i]) {
				t.Fatalf("message %d is %v, want %v", i, got[i], want[i])
			}
		}
	})
}

// idle reports whether a message is to travel as numbers.
func idle(m *raftpb.Message) bool {
	beats := m.GetType() == raftpb.MsgHeartbeat || m.GetType() == raftpb.MsgHeartbeatResp
	return beats && len(m.GetContext()) == 0
}

// What raft itself makes has no field that is lost: if a later raft puts more into a
// heartbeat, this says so. Whole ones take no message of their own.
func TestHeartbeatsOfRaft(t *testing.T) {
	a, b := node(t, 1), node(t, 2)
	if err := a.Campaign(); err != nil {
		t.Fatal(err)
	}
	kinds := make(map[raftpb.MessageType]int)
	for range 40 {
		a.Tick()
		for range 4 {
			carry(t, a, b, kinds)
			carry(t, b, a, kinds)
		}
	}
	if kinds[raftpb.MsgHeartbeat] < 10 || kinds[raftpb.MsgHeartbeatResp] < 10 {
		t.Errorf("too few heartbeats to show anything: %v", kinds)
	}
}

func node(t *testing.T, id uint64) *raft.RawNode {
	storage := raft.NewMemoryStorage()
	if err := storage.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}},
	}}); err != nil {
		t.Fatal(err)
	}
	n, err := raft.NewRawNode(&raft.Config{
		ID: id, ElectionTick: 10, HeartbeatTick: 1, Storage: storage, Applied: 1,
		MaxInflightMsgs: 8, MaxSizePerMsg: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// carry brings what one node has for the other there.
func carry(t *testing.T, from, to *raft.RawNode, kinds map[raftpb.MessageType]int) {
	if !from.HasReady() {
		return
	}
	ready := from.Ready()
	var in []sent
	beats := 0
	for _, m := range ready.Messages {
		in = append(in, sent{7, m})
		kinds[m.GetType()]++
		if idle(m) {
			beats++
		}
	}
	out, batch := through(t, in)
	if len(batch.GetRaft()) != len(in)-beats {
		t.Errorf("%d of %d messages are heartbeats, and %d do not travel as numbers", beats, len(in), len(batch.GetRaft()))
	}
	for _, s := range in {
		found := false
		for _, o := range out {
			found = found || same(s, o)
		}
		if !found {
			t.Errorf("%v does not come out", s.message)
		}
	}
	for _, s := range out {
		if err := to.Step(s.message); err != nil {
			t.Error(err)
		}
	}
	from.Advance(ready)
}

// Batches that a frame would have been refused for do no harm.
func TestRemaindersAreLeftOut(t *testing.T) {
	batch := &api.PeerBatch{
		Raft:             []*api.RaftMessage{{Group: 1, Message: []byte{0xff}}},
		Heartbeats:       []uint64{1, 2, 3, 4, 5, 1, 2, 3, 4},
		HeartbeatAnswers: []uint64{1, 2, 3},
	}
	n := 0
	for group, m := range bundle.Messages(batch) {
		n++
		if group != 1 || m.GetFrom() != 2 || m.GetTo() != 3 || m.GetTerm() != 4 || m.GetCommit() != 5 {
			t.Errorf("group %d: %v", group, m)
		}
	}
	if n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}
