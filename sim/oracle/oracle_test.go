package oracle_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/oracle"
)

// Nothing is found where nothing is wrong, and it was looked for.
func TestNothingWrong(t *testing.T) {
	for seed := range uint64(5) {
		l := newLab(t, seed)
		l.work()
		l.want("")
		places := []oracle.Place{}
		for _, name := range names {
			places = append(places, oracle.Place{Host: name, Folder: l.view(name).Folder})
		}
		l.oracle.CompareFiles(l.group(), places)
		l.want("")
		if s := l.oracle.Stats(); s.Promises < 100 || s.Acks < 75 || s.Frames < 300 || s.States < 6 || s.Elections < 3 {
			t.Errorf("seed %d: checked too little: %+v", seed, s)
		}
	}
}

// Each wrong thing on the wire or on a platter is found, by its own name.
func TestOnTheWire(t *testing.T) {
	for _, c := range []struct {
		what string
		want oracle.Name
		lie  func(l *lab)
	}{
		{"a follower's platter gets nothing any more", oracle.PromiseBroken, func(l *lab) {
			l.durable = func(host env.Endpoint, op disk.Operation, show func(disk.Operation)) {
				if host != names[1] {
					show(op)
				}
			}
		}},
		{"two platters get nothing, and nobody promises anything", oracle.AckNotDurable, func(l *lab) {
			l.durable = func(host env.Endpoint, op disk.Operation, show func(disk.Operation)) {
				if host == names[0] {
					show(op)
				}
			}
			l.sent = func(_, _ env.Endpoint, m *api.Message, show func(*api.Message)) {
				if m.GetPeer() == nil {
					show(m)
				}
			}
		}},
		{"a vote for another beside each vote", oracle.VotedTwice, func(l *lab) {
			l.sent = raft(func(m *raftpb.Message, add func(*raftpb.Message)) {
				if m.GetType() == raftpb.MsgVoteResp && !m.GetReject() {
					add(m)
					m.To = new(m.GetTo() + 1)
				}
			})
		}},
		{"votes asked for in a term that is on no platter", oracle.PromiseBroken, func(l *lab) {
			l.sent = raft(func(m *raftpb.Message, _ func(*raftpb.Message)) {
				if m.GetType() == raftpb.MsgVote {
					m.Term = new(m.GetTerm() + 1)
				}
			})
		}},
		{"a leader that is started again and leads on", oracle.TwoLeaders, startedAgain},
		{"a heartbeat of another beside each heartbeat", oracle.TwoLeaders, func(l *lab) {
			l.sent = raft(func(m *raftpb.Message, add func(*raftpb.Message)) {
				if m.GetType() == raftpb.MsgHeartbeat {
					add(m)
					m.From = new(m.GetFrom() + 1)
				}
			})
		}},
		{"appends after an entry of another term", oracle.LeaderIncomplete, func(l *lab) {
			l.sent = raft(func(m *raftpb.Message, _ func(*raftpb.Message)) {
				if m.GetType() == raftpb.MsgApp && m.GetIndex() > 1 {
					m.LogTerm = new(m.GetLogTerm() - 1)
				}
			})
		}},
		{"a snapshot with a configuration of another time", oracle.ConfMismatch, wrongSnapshot},
		{"acknowledged beyond the end", oracle.AckNotCommitted, acknowledged(1000)},
		{"acknowledged at the offset before", oracle.AckMismatch, acknowledged(-1)},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := newLab(t, 1)
			c.lie(l)
			l.work()
			l.want(c.want)
		})
	}
}

// startedAgain says that all nodes start once the first heartbeat is sent.
func startedAgain(l *lab) {
	led := false
	l.sent = raft(func(m *raftpb.Message, _ func(*raftpb.Message)) {
		if m.GetType() == raftpb.MsgHeartbeat && !led {
			led = true
			for _, name := range names {
				l.world.Agenda.After(0, func() { l.oracle.Restarting(name) })
			}
		}
	})
}

// wrongSnapshot shows a snapshot with a configuration that never was, beside each append.
func wrongSnapshot(l *lab) {
	l.sent = raft(func(m *raftpb.Message, add func(*raftpb.Message)) {
		if m.GetType() != raftpb.MsgApp {
			return
		}
		add(&raftpb.Message{
			Type: raftpb.MsgSnap.Enum(), From: m.From, To: m.To, Term: m.Term,
			Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
				Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: []uint64{7}},
			}},
		})
	})
}

// acknowledged shows acknowledgements of other offsets.
func acknowledged(shift int64) func(*lab) {
	return func(l *lab) {
		l.sent = func(_, _ env.Endpoint, m *api.Message, show func(*api.Message)) {
			if p := m.GetResponse().GetProduce(); p != nil && p.GetBaseOffset() > 5 {
				p.BaseOffset += shift
				show(m)
				p.BaseOffset -= shift
				return
			}
			show(m)
		}
	}
}

// Each wrong thing in memory is found at a look.
func TestInMemory(t *testing.T) {
	for _, c := range []struct {
		what string
		want oracle.Name
		lie  func(v *broker.GroupView)
	}{
		{"another state", oracle.LiveReplay, func(v *broker.GroupView) { v.State = append(v.State, 0) }},
		{"another configuration", oracle.ConfMismatch, func(v *broker.GroupView) {
			v.Conf = &raftpb.ConfState{Voters: v.Conf.GetVoters()[1:]}
		}},
		{"more applied than written", oracle.LogMismatch, func(v *broker.GroupView) { v.Applied += 1000 }},
		{"commit index goes back", oracle.CommitRegress, func(v *broker.GroupView) { v.Commit -= 2 }},
		{"applied index goes back", oracle.CommitRegress, func(v *broker.GroupView) { v.Applied -= 2 }},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := newLab(t, 1)
			l.work()
			v := l.view(names[2])
			c.lie(&v)
			l.oracle.Look(names[2], []broker.GroupView{v})
			l.want(c.want)
		})
	}
}

// Each wrong thing in a segment file is found when the file is read.
func TestInFiles(t *testing.T) {
	for _, c := range []struct {
		what string
		want oracle.Name
		kind segment.Kind
		edit func(f *segment.Frame)
	}{
		{"another entry", oracle.LogMismatch, segment.KindRecords, func(f *segment.Frame) { f.Data = bytes.ToUpper(f.Data) }},
		{"another term", oracle.LogMismatch, segment.KindRecords, func(f *segment.Frame) { f.Term++ }},
		{"another offset", oracle.OffsetMismatch, segment.KindRecords, func(f *segment.Frame) { f.Base++ }},
		{"another state", oracle.ReplicaMismatch, segment.KindState, func(f *segment.Frame) { f.Data[len(f.Data)-1] ^= 1 }},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := newLab(t, 1)
			l.work()
			l.rewrite(names[1], l.view(names[1]), c.kind, c.edit)
			l.oracle.Restarting(names[1])
			l.want(c.want)
		})
	}
}

// rewrite changes the first frame of a kind in a stopped node's log.
func (l *lab) rewrite(name env.Endpoint, v broker.GroupView, kind segment.Kind, edit func(*segment.Frame)) {
	h := l.hosts[name]
	h.Kill()
	handle := h.Disk.Open(func(func(env.Process)) {})
	for _, file := range h.Disk.Names() {
		if !strings.HasPrefix(file, v.Folder) {
			continue
		}
		for data := bytes.Clone(h.Disk.Contents(file)); len(data) > 0; {
			at := len(h.Disk.Contents(file)) - len(data)
			f, rest, err := segment.DecodeFrame(v.Group, data)
			if err != nil {
				l.t.Fatal(err)
			}
			if f.Kind == kind {
				edit(&f)
				handle.WriteAt(file, int64(at), encode(v.Group, &f))
				return
			}
			data = rest
		}
	}
	l.t.Fatal("no frame was changed")
}

// encode writes a frame as package segment draws it.
func encode(group api.GroupID, f *segment.Frame) []byte {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	order := binary.LittleEndian
	b := make([]byte, 4, 42+len(f.Data))
	b = order.AppendUint32(b, crc32.Checksum(f.Data, castagnoli))
	b = order.AppendUint32(b, uint32(len(f.Data)))
	b = order.AppendUint32(b, uint32(f.Count))
	b = order.AppendUint64(b, uint64(f.Index))
	b = order.AppendUint64(b, uint64(f.Term))
	b = order.AppendUint64(b, uint64(f.Base))
	b = append(b, byte(f.Kind), byte(f.Type))
	order.PutUint32(b, crc32.Checksum(append(order.AppendUint64(nil, uint64(group)), b[4:]...), castagnoli))
	return append(b, f.Data...)
}

// Files that are missing, shorter or less durable than they should be are found.
func TestMissingFiles(t *testing.T) {
	l := newLab(t, 1)
	l.work()
	v := l.view(names[1])
	h := l.hosts[names[1]]
	h.Kill()
	handle := h.Disk.Open(func(func(env.Process)) {})
	var files []string
	for _, name := range h.Disk.Names() {
		if strings.HasPrefix(name, v.Folder) {
			files = append(files, name)
		}
	}
	if len(files) < 2 {
		t.Fatalf("only %v", files)
	}
	handle.Truncate(files[len(files)-1], int64(len(h.Disk.Contents(files[len(files)-1]))-1))
	l.oracle.CompareFiles(l.group(), []oracle.Place{
		{Host: names[0], Folder: l.view(names[0]).Folder}, {Host: names[1], Folder: v.Folder},
	})
	l.want(oracle.ReplicaMismatch)

	l = newLab(t, 1)
	l.work()
	v, h = l.view(names[1]), l.hosts[names[1]]
	h.Kill()
	h.Disk.Open(func(func(env.Process)) {}).Remove(files[0])
	l.oracle.Look(names[1], []broker.GroupView{v})
	l.want(oracle.RecordsMissing)

	l = newLab(t, 1)
	l.work()
	h = l.hosts[names[1]]
	h.Kill()
	handle = h.Disk.Open(func(func(env.Process)) {})
	for _, name := range files {
		handle.Truncate(name, 10)
	}
	for _, op := range l.journal[names[1]] {
		l.oracle.Durable(names[1], op)
	}
	l.want(oracle.MarkNotDurable)
}
