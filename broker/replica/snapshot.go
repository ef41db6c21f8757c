package replica

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// A snapshot is a list of segment files. The follower keeps raft's message back,
// copies the files into a new numbered folder, syncs and verifies them, and only
// then steps the message; so when raft has accepted it the log is there, and a
// crash before the journal's mark leaves the old one untouched. If raft refuses
// (it caught up otherwise, or the term is over) the folder goes.
type snapshots struct {
	// Follower: the copy under way, nil if none.
	importing *importing
	// Follower: copied and verified, given to raft just now.
	ready *imported
	// Leader: followers that were sent a snapshot and have not answered, by id.
	sent []sentSnapshot
}

type importing struct {
	message  *raftpb.Message
	files    *segment.Import
	folder   uint64
	failures int
	// waits: its source does not answer, and another one has to offer a snapshot; ticks
	// since then.
	waits bool
	ticks int
}

type imported struct {
	index  api.Index
	folder uint64
	store  *segment.Store
	tail   segment.Tail
}

type sentSnapshot struct {
	to    api.ReplicaID
	ticks int
}

const (
	// A source is given up after so many refused or lost requests. The leader, or the
	// next one, offers a snapshot again, by which the copy goes on where it stands.
	maxCopyFailures = 8
	// importPatienceTicks is how long a copy waits for that: for an election, and for the leader
	// to notice.
	importPatienceTicks = 4 * snapshotPatienceTicks
)

// offerSnapshot begins to copy what a MsgSnap lists, and reports whether it keeps
// the message. A snapshot of what is committed here already is for raft to answer.
func (r *Replica) offerSnapshot(m *raftpb.Message) (kept bool) {
	status := r.raft.BasicStatus()
	if m.GetTerm() < status.GetTerm() || m.GetSnapshot().GetMetadata().GetIndex() <= status.GetCommit() {
		return false
	}
	manifest, err := segment.DecodeManifest(m.GetSnapshot().GetData())
	if err != nil {
		r.note(trace.Warn, "snapshot with a malformed manifest", api.Index(m.GetSnapshot().GetMetadata().GetIndex()))
		return true
	}
	if current := r.snapshots.importing; current != nil {
		if !current.waits && m.GetTerm() <= current.message.GetTerm() || r.resume(current, m, manifest) {
			return true
		}
		r.abandonImport()
	}
	r.lastFolder++
	r.snapshots.importing = &importing{
		message: m,
		folder:  r.lastFolder,
		files:   segment.NewImport(logAt(r.cfg, r.lastFolder), manifest),
	}
	r.note(trace.Mark, "snapshot copy begun", api.Index(m.GetSnapshot().GetMetadata().GetIndex()))
	r.copyNext(r.snapshots.importing)
	return true
}

// resume has a copy go on by another snapshot, from whoever sent that. It reports whether
// what is copied so far is of use for it.
func (r *Replica) resume(im *importing, m *raftpb.Message, manifest []segment.File) bool {
	if !im.files.Continue(manifest) {
		return false
	}
	r.note(trace.Mark, "snapshot copy goes on", api.Index(m.GetSnapshot().GetMetadata().GetIndex()))
	waited := im.waits
	im.message, im.failures, im.waits, im.ticks = m, 0, false, 0
	if waited {
		r.copyNext(im)
	}
	return true
}

// expireImport gives up a copy that nobody has offered to go on with.
func (r *Replica) expireImport() {
	if im := r.snapshots.importing; im != nil && im.waits {
		if im.ticks++; im.ticks >= importPatienceTicks {
			r.abandonImport()
		}
	}
}

// copyNext asks for the next range, one at a time.
func (r *Replica) copyNext(im *importing) {
	file, at, length, more := im.files.Next(r.cfg.CopyBytes)
	if !more {
		im.files.Finish(func(store *segment.Store, tail segment.Tail, err error) {
			r.copied(im, store, tail, err)
		})
		return
	}
	from := api.ReplicaID(im.message.GetFrom())
	r.cfg.Host.CopyFrom(r.cfg.Group, from, file, at, length, func(data []byte, err error) {
		if r.closed || r.snapshots.importing != im {
			return
		}
		if err == nil && len(data) != length {
			err = fmt.Errorf("copied %d bytes of segment %d at %d, wanted %d", len(data), file, at, length)
		}
		if err != nil {
			im.failures++
			if im.failures >= maxCopyFailures {
				im.waits = true
				return
			}
		} else {
			im.files.Write(file, at, data)
		}
		r.copyNext(im)
	})
}

// copied steps the message that was kept back.
func (r *Replica) copied(im *importing, store *segment.Store, tail segment.Tail, err error) {
	if r.closed || r.snapshots.importing != im {
		return
	}
	index := api.Index(im.message.GetSnapshot().GetMetadata().GetIndex())
	if err != nil || store.Last() != index {
		r.note(trace.Warn, "copied snapshot does not verify", index)
		r.abandonImport()
		return
	}
	r.snapshots.importing = nil
	r.snapshots.ready = &imported{index: index, folder: im.folder, store: store, tail: tail}
	r.step(im.message)
	r.Pump()
	if unused := r.snapshots.ready; unused != nil {
		r.snapshots.ready = nil
		r.note(trace.Info, "copied snapshot not needed any more", index)
		removeFolder(r.cfg, unused.folder)
	}
}

func (r *Replica) abandonImport() {
	im := r.snapshots.importing
	r.snapshots.importing = nil
	removeFolder(r.cfg, im.folder)
}

// install makes the copied log the live one and adds the mark to the update that
// raft asked for. It returns the number of the folder that may go once the mark is
// synced, 0 if there is none.
func (r *Replica) install(snapshot *raftpb.Snapshot, update *journal.Update) (replaced uint64) {
	index := api.Index(snapshot.GetMetadata().GetIndex())
	in := r.snapshots.ready
	if in == nil || in.index != index {
		panic(fmt.Sprintf("replica: group %d: raft installs a snapshot at %d that was not copied", r.cfg.Group, index))
	}
	r.snapshots.ready = nil
	replaced = r.folder
	r.folder, r.store = in.folder, in.store
	r.loads = loads{}
	if err := r.restore(in.tail); err != nil {
		panic(fmt.Sprintf("replica: group %d: verified snapshot at %d does not restore", r.cfg.Group, index))
	}
	r.watch(r.store)
	update.Install = &journal.Install{
		Replica: r.cfg.ID, Folder: in.folder, Index: index, Term: api.Term(snapshot.GetMetadata().GetTerm()),
	}
	mark := journal.Checkpoint(end(in.store))
	update.Checkpoint = &mark
	r.note(trace.Info, "snapshot installed", index)
	r.cfg.Host.Changed(r)
	return replaced
}

// end is where a log that is synced as a whole ends.
func end(store *segment.Store) segment.Position {
	files := store.Manifest()
	last := files[len(files)-1]
	return segment.Position{Index: store.Last(), Segment: last.Segment, Length: last.Length}
}

// snapshotSent starts the watch on a follower's copy.
func (r *Replica) snapshotSent(to api.ReplicaID) {
	r.snapshotDone(to)
	r.snapshots.sent = append(r.snapshots.sent, sentSnapshot{to: to})
}

func (r *Replica) snapshotDone(to api.ReplicaID) {
	r.snapshots.sent = slices.DeleteFunc(r.snapshots.sent, func(s sentSnapshot) bool { return s.to == to })
}

// Serve gives a range of a segment to whoever copies it: a follower that was sent a
// snapshot, or any replica that mends its log. asks reports whether it is a certain one.
func (r *Replica) Serve(file api.Index, at int64, length int, asks func(api.ReplicaID) bool, done func([]byte, error)) {
	for i := range r.snapshots.sent {
		if s := &r.snapshots.sent[i]; asks(s.to) {
			s.ticks = 0
		}
	}
	r.store.Copy(file, at, length, func(data []byte, err error) {
		if _, lacks := r.missing(); lacks && errors.Is(err, segment.ErrGone) {
			err = fmt.Errorf("%w: the oldest files of the log are missing, and segment %d with them, or given up", segment.ErrDamaged, file)
		}
		done(data, err)
	})
}

// expireSnapshots tells raft that a snapshot failed when its follower has asked
// for nothing for a while: the message was lost, or the follower gave up. raft
// would wait for ever.
func (r *Replica) expireSnapshots() {
	var late []api.ReplicaID
	for i := range r.snapshots.sent {
		s := &r.snapshots.sent[i]
		if s.ticks++; s.ticks >= snapshotPatienceTicks {
			late = append(late, s.to)
		}
	}
	for _, to := range late {
		r.snapshotDone(to)
		if r.awaitsSnapshot(to) {
			r.raft.ReportSnapshot(uint64(to), raft.SnapshotFailure)
			r.note(trace.Mark, "snapshot offered again", 0)
		}
	}
}

// awaitsSnapshot reports whether raft sends a follower nothing until it has
// answered to a snapshot.
func (r *Replica) awaitsSnapshot(id api.ReplicaID) (waits bool) {
	r.raft.WithProgress(func(peer uint64, _ raft.ProgressType, p tracker.Progress) {
		if peer == uint64(id) {
			waits = p.State == tracker.StateSnapshot
		}
	})
	return waits
}
