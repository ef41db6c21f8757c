package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// Pump does what raft has ready: messages leave, entries go to the journal,
// committed ones to the machine. The host calls it once after a burst of events.
func (r *Replica) Pump() {
	if r.closed {
		return
	}
	r.dirty = false
	r.startReads()
	changed := false
	for more := r.raft.HasReady(); more; {
		ready := r.raft.Ready()
		changed = changed || ready.SoftState != nil || !raft.IsEmptyHardState(ready.HardState)
		more = r.handle(ready) && r.raft.HasReady()
	}
	if changed {
		r.noteRole()
	}
	r.checkpointIfDue()
}

// handle does what one Ready asks. Requests for votes wait until the candidate's own vote
// is durable, though raft lets them leave before: the votes of the others may be enough,
// and a candidate that lost power then would have forgotten that it led in this term,
// could win it again, and would write other entries under the same indexes and term.
// It reports whether raft may have more: not if there was nothing but messages for others.
func (r *Replica) handle(ready raft.Ready) (more bool) {
	more = len(ready.ReadStates) > 0
	for _, state := range ready.ReadStates {
		r.confirmRead(state)
	}
	var votes []*raftpb.Message
	for _, m := range ready.Messages {
		switch m.GetType() {
		case raftpb.MsgVote:
			votes = append(votes, m)
		case raftpb.MsgStorageAppend:
			r.persist(m)
			more = true
		case raftpb.MsgStorageApply:
			r.apply(m)
			more = true
		default:
			r.transmit(m)
		}
	}
	if len(votes) > 0 {
		r.cfg.Journal.Append(journal.Update{Group: r.cfg.Group}, func() { r.persisted(votes) })
	}
	return more
}

// persist gives the journal what must be durable, and raft's answers, its own and
// those for its peers, once it is.
func (r *Replica) persist(m *raftpb.Message) {
	update := journal.Update{Group: r.cfg.Group, Entries: m.GetEntries()}
	// raft leaves all three out, or gives all three.
	if m.Term != nil {
		update.Hard = &journal.HardState{
			Term:   api.Term(m.GetTerm()),
			Vote:   api.ReplicaID(m.GetVote()),
			Commit: api.Index(m.GetCommit()),
		}
	}
	responses := m.GetResponses()
	switch snapshot := m.GetSnapshot(); {
	case !raft.IsEmptySnap(snapshot):
		replaced := r.install(snapshot, &update)
		r.cfg.Journal.Append(update, func() {
			r.persisted(responses)
			removeFolder(r.cfg, replaced)
		})
	case len(responses) > 0:
		r.cfg.Journal.Append(update, func() { r.persisted(responses) })
	default:
		r.cfg.Journal.Append(update, nil)
	}
}

func (r *Replica) persisted(responses []*raftpb.Message) {
	if r.closed {
		return
	}
	for _, m := range responses {
		if m.GetTo() == uint64(r.cfg.ID) {
			r.step(m)
		} else {
			r.transmit(m)
		}
	}
}

func (r *Replica) transmit(m *raftpb.Message) {
	if m.GetType() == raftpb.MsgSnap {
		r.snapshotSent(api.ReplicaID(m.GetTo()))
	}
	r.cfg.Host.Transmit(r.cfg.Group, m)
}

// apply runs committed entries through the machine and appends them to the
// segments. The segments need no sync: until a checkpoint the journal has them.
func (r *Replica) apply(m *raftpb.Message) {
	for _, entry := range m.GetEntries() {
		r.applyEntry(entry)
	}
	r.releaseReads()
	for _, response := range m.GetResponses() {
		r.step(response)
	}
}

func (r *Replica) applyEntry(entry *raftpb.Entry) {
	frame := segment.Frame{
		Kind:  segment.KindEntry,
		Type:  entry.GetType(),
		Index: api.Index(entry.GetIndex()),
		Term:  api.Term(entry.GetTerm()),
		Base:  r.store.Next(),
		Data:  entry.GetData(),
	}
	if frame.Type == raftpb.EntryNormal {
		frame.Count = r.machine.Apply(frame.Index, frame.Data)
		if frame.Count > 0 {
			frame.Kind = segment.KindRecords
		}
	} else {
		r.changing = true
		r.conf = r.raft.ApplyConfChange(decodeConfChange(frame))
		r.changing = false
		r.confIndex = frame.Index
	}
	r.appliedTerm = frame.Term
	r.store.Append(frame)
	r.rollIfFull()
}

// rollIfFull starts the next segment with the state as of now. It depends on
// nothing but the entries applied so far, so every replica rolls at the same one.
func (r *Replica) rollIfFull() {
	if !r.store.Full(r.machine.SegmentBytes()) {
		return
	}
	r.store.Roll(segment.State{
		Index:   r.store.Last(),
		Term:    r.appliedTerm,
		Next:    r.store.Next(),
		Conf:    r.conf,
		Machine: r.machine.Save(),
	})
}

// noteRole tells the host when the replica's part has changed. Reads that a lost
// leadership left behind fail.
func (r *Replica) noteRole() {
	status := r.raft.BasicStatus()
	now := Role{status.RaftState, api.Term(status.GetTerm()), api.ReplicaID(status.Lead)}
	if now == r.role {
		return
	}
	was := r.role
	r.role = now
	if was.State == raft.StateLeader && (now.State != raft.StateLeader || now.Term != was.Term) {
		r.FailReads()
		r.snapshots.sent = nil
	}
	if now.State == raft.StateLeader && (was.State != raft.StateLeader || now.Term != was.Term) {
		r.note(trace.Info, "became leader", api.Index(0))
		r.pace = pace{before: r.commit(), last: r.commit()}
	}
	r.cfg.Host.Changed(r)
}

func (r *Replica) note(level trace.Level, name string, index api.Index) {
	r.cfg.Trace(trace.Event{
		Level: level, Name: name, Group: r.cfg.Group, Replica: r.cfg.ID,
		Term: r.role.Term, Index: index,
	})
}

// decodeConfChange reads the change that raft wrote into an entry of ours.
func decodeConfChange(frame segment.Frame) raftpb.ConfChangeI {
	var change raftpb.ConfChangeI
	var err error
	if frame.Type == raftpb.EntryConfChange {
		v1 := &raftpb.ConfChange{}
		change, err = v1, unmarshal(frame.Data, v1)
	} else {
		v2 := &raftpb.ConfChangeV2{}
		change, err = v2, unmarshal(frame.Data, v2)
	}
	if err != nil {
		panic(fmt.Sprintf("replica: committed configuration change %d cannot be decoded", frame.Index))
	}
	return change
}
