package journal

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
)

// Image is what the journal holds of one group, as of the last Append. Its
// fields are for reading.
type Image struct {
	Group api.GroupID
	// Replica is the incarnation that lives here, 0 if none does.
	Replica api.ReplicaID
	// Destroyed is the last incarnation that is gone for good, 0 if none is.
	Destroyed api.ReplicaID
	// Folder of the live segments, 0 if there are none.
	Folder     uint64
	Hard       HardState
	Base       Base
	Checkpoint Checkpoint

	// entries are consecutive and begin at First. What stands in the array below
	// its length never changes: slices of it are with raft.
	entries []*raftpb.Entry
	bytes   int
	// home is the file where the image begins; nil until that batch is written.
	home *file
	// relieved is the journal's count of rolls at the last checkpoint.
	relieved uint64
}

// Base is where the log began when the replica was installed.
type Base struct {
	Index api.Index
	Term  api.Term
}

// entryOverhead is what an entry takes beside its data, at the most.
const entryOverhead = 24

// imageOverhead is what an image takes beside its entries, at the most.
const imageOverhead = 192

// First is the lowest index that is held, or would be.
func (i *Image) First() api.Index { return max(i.Base.Index, i.Checkpoint.Index) + 1 }

// Last is the highest index that is held; First-1 if none is.
func (i *Image) Last() api.Index { return i.First() + api.Index(len(i.entries)) - 1 }

// Bytes is the size of the entries held, with a little for each beside its data.
func (i *Image) Bytes() int { return i.bytes }

// Entries gives the entries from lo up to, not including, hi: the first, and as
// many more as fit into maxBytes of data with it. It gives none if lo is not
// held. The slice may be kept and appended to; the entries must not be changed.
func (i *Image) Entries(lo, hi api.Index, maxBytes uint64) []*raftpb.Entry {
	if lo < i.First() || lo > i.Last() || hi <= lo {
		return nil
	}
	from := i.entries[lo-i.First() : min(hi, i.Last()+1)-i.First()]
	size, n := uint64(0), 0
	for _, e := range from {
		size += uint64(weight(e))
		if n > 0 && size > maxBytes {
			break
		}
		n++
	}
	return from[:n:n]
}

// Term is the term of an entry held, or of the base.
func (i *Image) Term(index api.Index) (api.Term, bool) {
	if index >= i.First() && index <= i.Last() {
		return api.Term(i.entries[index-i.First()].GetTerm()), true
	}
	return i.Base.Term, index == i.Base.Index
}

// errImpossible: the update does not fit the image it is for.
var errImpossible = errors.New("impossible update")

// maxIndex keeps sums of indexes from running over.
const maxIndex = 1 << 62

// check says whether apply makes sense.
func (i *Image) check(u *Update) error {
	first, last, term := i.First(), i.Last(), i.Hard.Term
	if in := u.Install; in != nil {
		if in.Index > maxIndex || in.Replica != 0 && in.Replica == i.Destroyed {
			return errImpossible
		}
		first, last = in.Index+1, in.Index
		if in.Replica != i.Replica {
			term = 0
		}
	}
	if u.Hard != nil && u.Hard.Term < term {
		return errImpossible
	}
	for k, e := range u.Entries {
		index := api.Index(e.GetIndex())
		if k == 0 && (index < first || index > last+1) || k > 0 && index != last+1 {
			return errImpossible
		}
		last = index
	}
	if c := u.Checkpoint; c != nil && (c.Index+1 < first || c.Index > maxIndex) {
		return errImpossible
	}
	return nil
}

// promise says whether an update holds more than a commit index.
func (i *Image) promise(u *Update) bool {
	return u.fields() != hasHard || u.Hard.Term != i.Hard.Term || u.Hard.Vote != i.Hard.Vote
}

// against tells what does not fit.
func (i *Image) against(u *Update) string {
	s := fmt.Sprintf("replica %d (%d destroyed), first %d, last %d, term %d", i.Replica, i.Destroyed, i.First(), i.Last(), i.Hard.Term)
	if u.Install != nil {
		s += fmt.Sprintf("; install %+v", *u.Install)
	}
	if u.Hard != nil {
		s += fmt.Sprintf("; hard state %+v", *u.Hard)
	}
	if n := len(u.Entries); n > 0 {
		s += fmt.Sprintf("; entries %d to %d", u.Entries[0].GetIndex(), u.Entries[n-1].GetIndex())
	}
	if u.Checkpoint != nil {
		s += fmt.Sprintf("; checkpoint %+v", *u.Checkpoint)
	}
	return s
}

// apply makes an update that was checked.
func (i *Image) apply(u *Update) {
	if u.Install != nil {
		i.install(*u.Install)
	}
	if u.Hard != nil {
		i.Hard = *u.Hard
	}
	if len(u.Entries) > 0 {
		i.replace(u.Entries)
	}
	if u.Checkpoint != nil {
		i.advance(*u.Checkpoint)
	}
	if u.Destroyed != 0 {
		i.destroy(u.Destroyed)
	}
}

func (i *Image) install(in Install) {
	if in.Replica != i.Replica {
		i.Hard = HardState{}
	}
	i.Replica, i.Folder, i.Base = in.Replica, in.Folder, Base{Index: in.Index, Term: in.Term}
	i.Checkpoint, i.Hard.Commit = Checkpoint{}, 0
	i.entries, i.bytes = nil, 0
}

// replace puts entries in the place of all at or above the first one's index.
func (i *Image) replace(entries []*raftpb.Entry) {
	keep := int(api.Index(entries[0].GetIndex()) - i.First())
	if keep < len(i.entries) {
		i.bytes -= weigh(i.entries[keep:])
		i.entries = slices.Clip(i.entries[:keep])
	}
	i.entries = append(i.entries, entries...)
	i.bytes += weigh(entries)
}

func (i *Image) advance(c Checkpoint) {
	first := i.First()
	i.Checkpoint = c
	drop := min(i.First()-first, api.Index(len(i.entries)))
	i.bytes -= weigh(i.entries[:drop])
	i.entries = slices.Clone(i.entries[drop:])
}

func (i *Image) destroy(id api.ReplicaID) {
	i.Destroyed = id
	if i.Replica != 0 && i.Replica != id {
		return
	}
	i.Replica, i.Folder, i.Base, i.Checkpoint, i.Hard = 0, 0, Base{}, Checkpoint{}, HardState{}
	i.entries, i.bytes = nil, 0
}

// again gives the updates that make the image anew.
func (i *Image) again() []Update {
	updates := []Update{{Group: i.Group, anew: true, Destroyed: i.Destroyed}}
	state := Update{
		Group:   i.Group,
		Install: &Install{Replica: i.Replica, Folder: i.Folder, Index: i.Base.Index, Term: i.Base.Term},
		Hard:    &i.Hard,
	}
	if i.Checkpoint != (Checkpoint{}) {
		state.Checkpoint = &i.Checkpoint
	}
	updates = append(updates, state)
	if len(i.entries) > 0 {
		updates = append(updates, Update{Group: i.Group, Entries: i.entries})
	}
	return updates
}

func weight(e *raftpb.Entry) int { return len(e.GetData()) + entryOverhead }

func weigh(entries []*raftpb.Entry) int {
	n := 0
	for _, e := range entries {
		n += weight(e)
	}
	return n
}
