package oracle

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/sim/disk"
)

// sector is the grid on which the journal's batches begin.
const sector = 512

// view follows a node's journal, batch by batch: the calls of the
// node, or what the platter holds. Where batches come out of order, or a new run
// voids some, it reads the files again from the start.
type view struct {
	host   *host
	read   func(*disk.Disk, string) []byte
	images map[api.GroupID]*image
	// number and salt of the last batch taken.
	number, salt uint64
	// stale: the images must be read again.
	stale bool
}

func newView(h *host, read func(*disk.Disk, string) []byte) view {
	return view{host: h, read: read, stale: true}
}

// image gives a group's image, nil if the journal has none.
func (t *view) image(group api.GroupID) *image {
	t.refresh()
	return t.images[group]
}

// take adds the batches of one write and gives their updates.
func (t *view) take(data []byte) []journal.Update {
	var updates []journal.Update
	for len(data) >= sector {
		b, rest, err := journal.DecodeBatch(data)
		if err != nil {
			break
		}
		data = rest
		if b.Number != t.number+1 {
			t.stale = true
		}
		if !t.stale {
			t.apply(&b)
		}
		updates = append(updates, b.Updates...)
	}
	return updates
}

func (t *view) apply(b *journal.Batch) {
	t.number, t.salt = b.Number, b.Salt
	for i := range b.Updates {
		u := &b.Updates[i]
		if u.Forget {
			delete(t.images, u.Group)
			continue
		}
		im := t.images[u.Group]
		if im == nil {
			im = &image{}
			t.images[u.Group] = im
		}
		im.apply(u)
	}
}

// refresh reads the whole journal again if something came out of order.
func (t *view) refresh() {
	if !t.stale {
		return
	}
	t.stale, t.number, t.images = false, 0, make(map[api.GroupID]*image)
	for _, b := range chain(t.batches()) {
		t.apply(&b)
	}
}

// batches finds every whole batch in the files, by number; of equal ones the newer
// run's first.
func (t *view) batches() []journal.Batch {
	var all []journal.Batch
	for _, name := range t.host.disk.Names() {
		if !strings.HasPrefix(name, journalFolder) {
			continue
		}
		data := t.read(t.host.disk, name)
		for len(data) >= sector {
			b, rest, err := journal.DecodeBatch(data)
			if err != nil {
				data = data[sector:]
				continue
			}
			all = append(all, b)
			data = rest
		}
	}
	slices.SortFunc(all, func(a, b journal.Batch) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(b.Salt, a.Salt))
	})
	return all
}

// chain gives the batches that count: those that no newer run has voided, up to
// the first one that is missing. Before the oldest that is needed some may be
// missing, since files are used again.
func chain(all []journal.Batch) []journal.Batch {
	starts := make(map[uint64]uint64) // of each run, by its salt
	for _, b := range all {
		starts[b.Salt] = b.Start
	}
	salts := slices.Sorted(maps.Keys(starts))
	var kept []journal.Batch
	for _, b := range all {
		void := slices.ContainsFunc(salts, func(s uint64) bool { return s > b.Salt && starts[s] <= b.Number })
		switch n := len(kept); {
		case void || n > 0 && kept[n-1].Number == b.Number:
		case n > 0 && kept[n-1].Number+1 != b.Number && b.Synced <= kept[n-1].Number:
			return kept // torn: nobody knows that what is missing was synced
		case n > 0 && kept[n-1].Number+1 != b.Number:
			kept = []journal.Batch{b} // older contents of files that were used again
		default:
			kept = append(kept, b)
		}
	}
	return kept
}

// image is what a journal holds of one group: as journal.Image, written again
// with terms in place of entries.
type image struct {
	replica api.ReplicaID
	folder  uint64
	hard    journal.HardState
	// forgot: what was written last takes a vote or a term back.
	forgot     bool
	base       journal.Base
	checkpoint journal.Checkpoint
	// terms of the entries from first on.
	first api.Index
	terms []api.Term
}

func (im *image) apply(u *journal.Update) {
	if in := u.Install; in != nil {
		hard := im.hard
		if in.Replica != im.replica {
			hard = journal.HardState{} // another incarnation has promised nothing
		}
		*im = image{
			replica: in.Replica, folder: in.Folder, hard: hard,
			base: journal.Base{Index: in.Index, Term: in.Term}, first: in.Index + 1,
		}
	}
	if u.Hard != nil {
		was := im.hard
		im.hard = *u.Hard
		im.forgot = im.hard.Term < was.Term || im.hard.Term == was.Term && was.Vote != 0 && im.hard.Vote != was.Vote
	}
	for _, e := range u.Entries {
		im.set(e)
	}
	if u.Checkpoint != nil {
		im.checkpoint = *u.Checkpoint
	}
	if u.Destroyed != 0 && u.Destroyed == im.replica {
		*im = image{}
	}
}

func (im *image) set(e *raftpb.Entry) {
	index := api.Index(e.GetIndex())
	if len(im.terms) == 0 || index < im.first || index > im.last()+1 {
		im.first, im.terms = index, nil
	}
	im.terms = append(im.terms[:index-im.first], api.Term(e.GetTerm()))
}

func (im *image) last() api.Index {
	return max(im.first+api.Index(len(im.terms)), 1) - 1
}

// whole is the index up to which segments hold the log.
func (im *image) whole() api.Index { return max(im.base.Index, im.checkpoint.Index) }

// term gives the term of an entry that the journal holds, 0 for one it does not.
func (im *image) term(index api.Index) api.Term {
	if index < im.first || index > im.last() {
		return 0
	}
	return im.terms[index-im.first]
}

// holds reports whether the log has this entry, in the journal or in segments
// that a mark says are synced.
func (im *image) holds(index api.Index, term api.Term) bool {
	return index <= im.whole() || im.term(index) == term
}
