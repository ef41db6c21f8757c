package replica

import (
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/journal"
)

// idleHost is the host of a replica that nobody uses.
type idleHost struct{ Host }

func (idleHost) Dirty(*Replica)   {}
func (idleHost) Changed(*Replica) {}

// follower is replica 1 of three, which follows replica 2 in term 1.
func follower(t interface{ Fatal(...any) }) *Replica {
	storage := raft.NewMemoryStorage()
	err := storage.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2, 3}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	node, err := raft.NewRawNode(&raft.Config{
		ID: 1, ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks, Storage: storage, Applied: 1,
		MaxInflightMsgs: 1, CheckQuorum: true, PreVote: true, Logger: logger{},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &Replica{cfg: Config{ID: 1, Host: idleHost{}}, raft: node, image: &journal.Image{}}
	beat(r)
	return r
}

// pump takes what raft has ready, and gives the messages.
func pump(r *Replica) (sent []*raftpb.Message) {
	for r.raft.HasReady() {
		ready := r.raft.Ready()
		sent = append(sent, ready.Messages...)
		r.raft.Advance(ready)
	}
	r.dirty = false
	r.noteRole()
	return sent
}

func tell(r *Replica, kind raftpb.MessageType, from, term uint64) []*raftpb.Message {
	r.Step(&raftpb.Message{
		Type: kind.Enum(), From: new(from), To: new(uint64(1)), Term: new(term), Index: new(uint64(9)), LogTerm: new(term),
	})
	return pump(r)
}

func beat(r *Replica) { tell(r, raftpb.MsgHeartbeat, 2, 1) }

// However long beats take and whatever comes between, a follower stays one while it has
// heard its leader within the shortest election timeout, grants nobody else a vote in that
// time, and after the longest timeout it has given the leader up.
func TestFollowerMissesItsLeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := follower(t)
		for range rapid.IntRange(0, 20).Draw(t, "beats") {
			for silent := 0; ; {
				ticks := rapid.IntRange(1, 3).Draw(t, "ticks")
				if silent += ticks; silent >= electionTicks {
					break
				}
				r.Tick(ticks)
				pump(r)
				if sent := tell(r, raftpb.MsgPreVote, 3, 2); len(sent) > 0 {
					t.Fatalf("%d ticks after a beat another gets a vote: %v", silent, sent)
				}
				if r.role != (Role{raft.StateFollower, 1, 2}) {
					t.Fatalf("%d ticks after a beat: %+v", silent, r.role)
				}
				if rapid.Bool().Draw(t, "beat") {
					break
				}
			}
			beat(r)
		}
		silent := 0
		for r.role.State == raft.StateFollower {
			ticks := rapid.IntRange(1, 3).Draw(t, "ticks of silence")
			silent += ticks
			r.Tick(ticks)
			pump(r)
			if silent > 2*electionTicks+ticks {
				t.Fatalf("%d ticks after the last beat it still follows: %+v", silent, r.role)
			}
		}
		if silent < electionTicks {
			t.Fatalf("%d ticks after a beat: %+v", silent, r.role)
		}
	})
}

// A leader that is to be forgotten is, whatever raft is owed: votes are not refused for its
// sake.
func TestForgottenLeaderHasNoLease(t *testing.T) {
	for owed := range electionTicks {
		r := follower(t)
		r.Tick(owed)
		r.ForgetLeader()
		pump(r)
		if r.role.Leader != 0 {
			t.Fatalf("%+v", r.role)
		}
		if sent := tell(r, raftpb.MsgPreVote, 3, 2); len(sent) != 1 || sent[0].GetReject() {
			t.Fatalf("%d ticks after a beat the leader is forgotten, and the answer is %v", owed, sent)
		}
		beat(r)
		if r.role != (Role{raft.StateFollower, 1, 2}) {
			t.Fatalf("%+v", r.role)
		}
	}
}
