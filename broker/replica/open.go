package replica

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// The first frame of every group stands here; no entry of raft's ever does. A
// replica that is not a founder has nothing at it, so it can only enter by a
// snapshot.
const (
	firstIndex api.Index = 1
	firstTerm  api.Term  = 1
)

// Bootstrap makes the log of a founding replica: one segment with the machine's
// present state and the founders as voters, the same bytes on each. It calls done
// when the journal's mark of it is synced.
func Bootstrap(cfg Config, founders []api.ReplicaID, done func(*Replica)) {
	const folder = 1
	clearFolder(cfg, folder, func() {
		conf := &raftpb.ConfState{}
		for _, id := range founders {
			conf.Voters = append(conf.Voters, uint64(id))
		}
		store := segment.Create(logAt(cfg, folder), segment.State{
			Index: firstIndex, Term: firstTerm, Conf: conf, Machine: cfg.Machine.Save(),
		})
		store.Checkpoint(func(at segment.Position, err error) {
			if err != nil {
				cfg.Host.Fail(err)
				return
			}
			mark := journal.Checkpoint(at)
			cfg.Journal.Append(journal.Update{
				Group:      cfg.Group,
				Install:    &journal.Install{Replica: cfg.ID, Folder: folder, Index: firstIndex, Term: firstTerm},
				Hard:       &journal.HardState{Term: firstTerm, Commit: firstIndex},
				Checkpoint: &mark,
			}, func() {
				done(start(cfg, store, folder, conf, firstTerm))
			})
		})
	})
}

// Join makes a replica that has nothing and waits for a snapshot. It calls done
// when the journal's mark of it is synced.
func Join(cfg Config, done func(*Replica)) {
	cfg.Journal.Append(journal.Update{
		Group:   cfg.Group,
		Install: &journal.Install{Replica: cfg.ID},
		Hard:    &journal.HardState{},
	}, func() {
		done(start(cfg, nil, 0, &raftpb.ConfState{}, 0))
	})
}

// Recover opens the replica that the journal's image describes. Segments that the
// disk has damaged are restored from other replicas first, which may take long, or
// for ever: restoring hears that it begins. An error means that what was synced is
// not there any more in some other way, and that the group can have no other replica here.
func Recover(cfg Config, restoring func(), done func(*Replica, error)) {
	o := &opening{cfg: cfg, left: readings, restoring: restoring, done: done}
	o.read()
}

// readings is how often a log is read that does not open though none of its files is
// damaged: a disk may have given what it had before a write, once. A log that does not
// open then is not the one that was written, and is given up as a whole.
const readings = 4

// opening is the way to a replica's log, which may have to be restored first.
type opening struct {
	cfg       Config
	left      int    // readings
	restoring func() // nil once it was called
	done      func(*Replica, error)
}

func (o *opening) read() {
	image := o.cfg.Journal.Image(o.cfg.Group)
	clearOthers(o.cfg, image.Folder, func() {
		if image.Folder == 0 {
			o.done(start(o.cfg, nil, 0, &raftpb.ConfState{}, 0), nil)
			return
		}
		name := folderName(o.cfg, image.Folder)
		r := prepare(o.cfg, nil, image.Folder)
		segment.Open(logAt(o.cfg, image.Folder), position(image.Checkpoint), restoring{r}, func(store *segment.Store, _ segment.Torn, err error) {
			switch {
			case o.restoring == nil && !o.cfg.Host.Waits(o.cfg.Group):
				// The replica was given up meanwhile.
			case errors.Is(err, segment.ErrDamaged):
				o.restore(image, fmt.Errorf("group %d: open %s: %w", o.cfg.Group, name, err))
			case err != nil:
				o.done(nil, fmt.Errorf("group %d: restore %s: %w", o.cfg.Group, name, err))
			default:
				r.store = store
				r.restored()
				o.begin(r, image)
			}
		})
	})
}

func (o *opening) restore(image *journal.Image, err error) {
	if o.restoring != nil {
		o.restoring()
		o.restoring = nil
	}
	restoreLog(o.cfg, image, o.read, func() {
		if o.left--; o.left > 0 {
			o.read()
			return
		}
		if o.cfg.Group == api.MetaGroup {
			o.done(nil, err)
			return
		}
		o.lost(1)
	})
}

// begin lets a replica that is as new as its log run. What is applied was in the journal,
// durably, before; and that holds what is above too.
func (o *opening) begin(r *Replica, image *journal.Image) {
	if r.Applied() > image.Last() || r.appliedTerm > image.Hard.Term {
		o.done(nil, fmt.Errorf("group %d: %d of term %d is applied, and the journal ends with %d of term %d: %w",
			o.cfg.Group, r.Applied(), r.appliedTerm, image.Last(), image.Hard.Term, journal.ErrDamaged))
		return
	}
	r.run()
	o.done(r, nil)
}

// lost says that the log is lost, until the replica is given up.
func (o *opening) lost(times int) {
	if o.cfg.Host.Waits(o.cfg.Group) {
		o.cfg.Host.LogLost(o.cfg.Group)
		o.cfg.Host.Pause(times, func() { o.lost(times + 1) })
	}
}

// start makes a replica whose machine is as new as its log.
func start(cfg Config, store *segment.Store, folder uint64, conf *raftpb.ConfState, term api.Term) *Replica {
	r := prepare(cfg, store, folder)
	r.conf, r.appliedTerm = conf, term
	r.run()
	return r
}

func prepare(cfg Config, store *segment.Store, folder uint64) *Replica {
	return &Replica{
		cfg: cfg, machine: cfg.Machine, image: cfg.Journal.Image(cfg.Group),
		store: store, folder: folder, lastFolder: folder,
		conf: &raftpb.ConfState{},
	}
}

// restoring puts the machine and the configuration where a log ends: the last state
// frame, then the entries after it, as they were applied the first time.
type restoring struct{ r *Replica }

// Begin is segment.Restorer's.
func (to restoring) Begin(st segment.State) error {
	r := to.r
	if err := r.machine.Restore(st.Machine); err != nil {
		return err
	}
	r.conf, r.confIndex, r.appliedTerm = st.Conf, st.Index, st.Term
	return nil
}

// Take is segment.Restorer's.
func (to restoring) Take(frame segment.Frame) error {
	r := to.r
	r.appliedTerm = frame.Term
	if frame.Type == raftpb.EntryNormal {
		if n := r.machine.Apply(frame.Index, frame.Data); n != frame.Count {
			return fmt.Errorf("entry %d gives %d records, its frame has %d", frame.Index, n, frame.Count)
		}
		return nil
	}
	conf, err := changed(r.conf, decodeConfChange(frame))
	if err != nil {
		return err
	}
	r.conf, r.confIndex = conf, frame.Index
	return nil
}

// restore restores from the end of a log that was read before.
func (r *Replica) restore(tail segment.Tail) error {
	to := restoring{r}
	if err := to.Begin(tail.State); err != nil {
		return err
	}
	for _, frame := range tail.Frames {
		if err := to.Take(frame); err != nil {
			return err
		}
	}
	r.restored()
	return nil
}

// restored is called when the machine is where the log ends.
func (r *Replica) restored() {
	// A crash may have taken the segment that was to follow.
	r.rollIfFull()
}

// run starts raft on what the journal and the segments hold.
func (r *Replica) run() {
	node, err := raft.NewRawNode(&raft.Config{
		ID:                        uint64(r.cfg.ID),
		ElectionTick:              electionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   storage{r},
		Applied:                   uint64(r.Applied()),
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             maxMessageBytes,
		MaxCommittedSizePerReady:  maxApplyBytes,
		MaxUncommittedEntriesSize: maxUncommittedBytes,
		MaxInflightMsgs:           maxInflightMessages,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    logger{},
	})
	if err != nil {
		panic(fmt.Sprintf("replica: raft refuses its configuration: %v", err))
	}
	r.raft = node
	if r.store != nil {
		r.watch(r.store)
	}
	status := node.BasicStatus()
	r.role = Role{State: status.RaftState, Term: api.Term(status.GetTerm())}
	r.NeedPump()
}

// folderName is that of one log of one incarnation, so that the files of an
// incarnation that is being removed are never those of the next.
func folderName(cfg Config, number uint64) string {
	return fmt.Sprintf("%s%d-%d/", cfg.Folder, cfg.ID, number)
}

// logAt is where one log of an incarnation stands.
func logAt(cfg Config, number uint64) segment.Log {
	return segment.Log{Files: cfg.Files, Folder: folderName(cfg, number), Group: cfg.Group}
}

// clearFolder removes what a crash may have left in a folder that is to be used.
func clearFolder(cfg Config, number uint64, done func()) {
	segment.RemoveAll(cfg.Files, folderName(cfg, number), func(err error) {
		if err != nil {
			cfg.Host.Fail(err)
			return
		}
		done()
	})
}

func removeFolder(cfg Config, number uint64) {
	if number != 0 {
		clearFolder(cfg, number, func() {})
	}
}

// clearOthers removes all folders of the group but the live one: copies that a
// crash cut short, and logs that a snapshot replaced.
func clearOthers(cfg Config, live uint64, done func()) {
	cfg.Files.List(cfg.Folder, func(entries []env.FileInfo, err error) {
		if err != nil {
			cfg.Host.Fail(err)
			return
		}
		var next func(i int)
		next = func(i int) {
			if i == len(entries) {
				done()
				return
			}
			if name := entries[i].Name; name != folderName(cfg, live) {
				cfg.Trace(trace.Event{Level: trace.Mark, Name: "leftover folder removed", Group: cfg.Group})
				segment.RemoveAll(cfg.Files, name, func(err error) {
					if err != nil {
						cfg.Host.Fail(err)
						return
					}
					next(i + 1)
				})
				return
			}
			next(i + 1)
		}
		next(0)
	})
}
