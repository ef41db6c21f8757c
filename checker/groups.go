package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// progress is what is known of one consumer group in one partition.
type progress struct {
	group string
	of    *partition
	// In order of invocation: commits that touch the partition, each with its offset there;
	// reads of what is committed; and what members were handed.
	commits []commit
	reads   []*histories.Operation
	handed  []*histories.Operation
	// spells are the times that members read the partition, in the order they began.
	spells []spell
	// processed is how far members were done with it while they read it, in order; tells is
	// false where no member of the group ever says: then they are done with what they are
	// handed.
	processed []processed
	tells     bool
}

// processed says that a member is done with all that it was handed below an offset.
type processed struct {
	at     histories.Index
	offset api.Offset
}

type commit struct {
	*histories.Operation
	offset api.Offset
}

// spell is a time in which one member reads a partition: from its Assigned to its Revoked
// or Lost.
type spell struct {
	member uint64
	// ended is histories.Never where the member, or the run, ended without a word.
	began, ended histories.Index
	lost         bool
	// from is where it began, done one past what the member was done with when it ended;
	// committed: because the group had committed where it began.
	from, done api.Offset
	committed  bool
}

// gatherGroups sorts what concerns consumer groups, by group and partition.
func (r *run) gatherGroups(h *histories.History, at func(Key) *partition) {
	type place struct {
		group string
		key   Key
	}
	byPlace := make(map[place]*progress)
	find := func(group string, key Key) *progress {
		p := byPlace[place{group, key}]
		if p == nil {
			p = &progress{group: group, of: at(key)}
			byPlace[place{group, key}] = p
			r.groups = append(r.groups, p)
		}
		return p
	}
	for i := range r.operations {
		switch o := &r.operations[i]; {
		case o.Call.Op == histories.Commit:
			for _, to := range o.Call.Offsets {
				p := find(o.Call.Group, Key{to.Topic, to.Partition})
				p.commits = append(p.commits, commit{o, to.Offset})
			}
		case o.Call.Op == histories.FetchOffset:
			p := find(o.Call.Group, Key{o.Call.Topic, o.Call.Partition})
			p.reads = append(p.reads, o)
		case o.Call.Op == histories.Fetch && o.Call.Group != "":
			p := find(o.Call.Group, Key{o.Call.Topic, o.Call.Partition})
			p.handed = append(p.handed, o)
		}
	}
	telling := make(map[string]bool)
	for _, e := range h.Notes() {
		switch n := e.Note; n.Op {
		case histories.Assigned:
			p := find(n.Group, Key{n.Topic, n.Partition})
			p.spells = append(p.spells, spell{member: n.Member, began: e.Index, ended: histories.Never, from: n.Offset, committed: n.Committed})
		case histories.Processed:
			telling[n.Group] = true
			p := find(n.Group, Key{n.Topic, n.Partition})
			if s := p.open(n.Member); s != nil {
				p.processed = append(p.processed, processed{e.Index, n.Offset})
				s.done = max(s.done, n.Offset)
			}
		case histories.Revoked, histories.Lost:
			find(n.Group, Key{n.Topic, n.Partition}).end(n, e.Index)
		}
	}
	for _, p := range r.groups {
		p.tells = telling[p.group]
	}
	slices.SortFunc(r.groups, func(a, b *progress) int {
		return cmp.Or(cmp.Compare(a.group, b.group), a.of.key.compare(b.of.key))
	})
}

func (p *progress) end(n *histories.Note, at histories.Index) {
	if s := p.open(n.Member); s != nil {
		s.ended, s.lost = at, n.Op == histories.Lost
	}
}

// open is the spell of a member that has not ended; nil if there is none.
func (p *progress) open(member uint64) *spell {
	for i := len(p.spells) - 1; i >= 0; i-- {
		if s := &p.spells[i]; s.member == member && s.ended == histories.Never {
			return s
		}
	}
	return nil
}

// judge holds a group's progress to its rules.
func (p *progress) judge() {
	p.checkOwners()
	p.checkCommits()
	p.checkReads()
	p.checkStarts()
	p.checkHanded()
}

// checkOwners: who gives a partition up in order has stopped before another begins, and
// nobody commits after another has begun. That a member which was expired reads on, as
// far as it does not know yet, no group can help.
func (p *progress) checkOwners() {
	for i := range p.spells {
		a := &p.spells[i]
		for j := i + 1; j < len(p.spells) && p.spells[j].began < a.ended; j++ {
			b := &p.spells[j]
			if b.member == a.member || a.lost || a.ended == histories.Never {
				continue
			}
			p.add(TwoOwners, nil, a.from, fmt.Sprintf(
				"member %d of group %q read from event %d to %d, when it gave the partition up, and member %d had begun at event %d",
				a.member, p.group, a.began, a.ended, b.member, b.began))
		}
	}
	for _, c := range p.commits {
		if c.Outcome != histories.Ok || c.Call.Member == 0 {
			continue
		}
		if s := p.successor(c.Call.Member, c.Invoked); s != nil {
			p.add(ZombieCommit, c.Operation, c.offset, fmt.Sprintf(
				"%s of group %q was taken, though member %d had begun to read the partition at event %d, after member %d",
				describe(c.Operation), p.group, s.member, s.began, c.Call.Member))
		}
	}
}

// successor is the spell of another member that began before an event, after the last one
// of a member; nil if there is none.
func (p *progress) successor(member uint64, before histories.Index) *spell {
	var next *spell
	for i := range p.spells {
		s := &p.spells[i]
		switch {
		case s.began > before:
		case s.member == member:
			next = nil
		case next == nil:
			next = s
		}
	}
	return next
}

// checkCommits: nobody commits more than the group is done with. What it was handed and is
// still at work on, it would miss if who commits it failed. What was trimmed nobody can
// miss: a member that finds it gone goes on behind it.
func (p *progress) checkCommits() {
	trimmed := p.of.trimmed()
	for _, c := range p.commits {
		reached := trimmed
		for i := range p.spells {
			if p.spells[i].began < c.Invoked {
				reached = max(reached, p.spells[i].from)
			}
		}
		for _, done := range p.processed {
			if done.at < c.Invoked {
				reached = max(reached, done.offset)
			}
		}
		for _, o := range p.handed {
			if records := given(o); !p.tells && len(records) > 0 && o.Completed < c.Invoked {
				reached = max(reached, records[len(records)-1].Offset+1)
			}
		}
		if c.Call.Member != 0 && c.offset > reached {
			p.add(CommitAhead, c.Operation, c.offset, fmt.Sprintf(
				"%s commits offset %d for group %q, which is done with nothing beyond offset %d", describe(c.Operation), c.offset, p.group, reached-1))
		}
	}
}

// checkReads: what is committed is a register that members only move on. A read is at or
// above every commit, and every read, that was answered before it was asked, and is what
// some commit asked for before it was answered.
func (p *progress) checkReads() {
	for _, read := range p.reads {
		if read.Outcome != histories.Ok {
			continue
		}
		found := read.Answer.Offset
		if known, by := p.known(read.Invoked); found < known {
			p.add(CommitRegress, read, max(found, 0), fmt.Sprintf("%s was told %d, though %s had told %d before", describe(read), found, describe(by), known), by)
		}
		if found != histories.NoOffset && !slices.ContainsFunc(p.commits, func(c commit) bool {
			return c.offset == found && c.Invoked < read.Completed && c.Outcome != histories.Fail
		}) {
			p.add(CommitPhantom, read, found, fmt.Sprintf("%s was told %d, which nobody had committed for group %q", describe(read), found, p.group))
		}
	}
}

// known is the most that was known to be committed before an event, and by what.
func (p *progress) known(before histories.Index) (api.Offset, *histories.Operation) {
	most, by := histories.NoOffset, (*histories.Operation)(nil)
	for _, c := range p.commits {
		if c.Outcome == histories.Ok && c.Completed < before && c.offset > most {
			most, by = c.offset, c.Operation
		}
	}
	for _, read := range p.reads {
		if read.Outcome == histories.Ok && read.Completed < before && read.Answer.Offset > most {
			most, by = read.Answer.Offset, read
		}
	}
	return most, by
}

// checkStarts: a member begins where the group stands: not behind what was committed
// before the member ahead of it had ended, nor beyond what anybody committed.
func (p *progress) checkStarts() {
	for i := range p.spells {
		s := &p.spells[i]
		settled := histories.Index(0)
		for j := range i {
			if before := &p.spells[j]; before.ended < s.began {
				settled = max(settled, before.ended)
			}
		}
		if known, by := p.known(settled); s.from < known {
			p.add(StartBehind, by, s.from, fmt.Sprintf("member %d of group %q began at offset %d at event %d, though %s had told %d before",
				s.member, p.group, s.from, s.began, describe(by), known))
		}
		if s.committed && !slices.ContainsFunc(p.commits, func(c commit) bool {
			return c.offset == s.from && c.Invoked < s.began && c.Outcome != histories.Fail
		}) {
			p.add(CommitPhantom, nil, s.from, fmt.Sprintf("member %d of group %q began at event %d at offset %d as committed, which nobody had committed", s.member, p.group, s.began, s.from))
		}
	}
}

// checkHanded: every record below what is committed in the end was processed: handed to a
// member of the group, which was done with it before its time ended; unless it was trimmed
// or lies below where the first one began. And records are handed only to a member that has
// the partition.
func (p *progress) checkHanded() {
	done := make(map[api.Offset]bool)
	for _, o := range p.handed {
		at := slices.IndexFunc(p.spells, func(s spell) bool {
			return s.member == o.Call.Member && s.began < o.Invoked && o.Invoked < s.ended
		})
		for _, r := range given(o) {
			if !p.tells || at >= 0 && r.Offset < p.spells[at].done {
				done[r.Offset] = true
			}
		}
		if at < 0 {
			p.add(NotOwner, o, o.Call.Offset, fmt.Sprintf("%s was handed to member %d of group %q, which does not read the partition then", describe(o), o.Call.Member, p.group))
		}
	}
	if len(p.spells) == 0 {
		return
	}
	first := p.spells[0].from
	for i := range p.spells {
		first = min(first, p.spells[i].from)
	}
	end, by := p.known(histories.Never)
	for offset := max(first, p.of.trimmed()); offset < end; offset++ {
		if !done[offset] {
			p.add(Unprocessed, by, offset, fmt.Sprintf("no member of group %q was handed offset %d and done with it, though %s says that the group has come to %d", p.group, offset, describe(by), end))
			return
		}
	}
}

// given are the records that a fetch returned.
func given(o *histories.Operation) []histories.Record {
	if o.Answer == nil {
		return nil
	}
	return o.Answer.Records
}

// trimmed is the highest log start that anybody was told.
func (p *partition) trimmed() api.Offset {
	start := api.Offset(0)
	see := func(o *histories.Operation) {
		if s, ok := startSeen(o); ok {
			start = max(start, s)
		}
	}
	for i := range p.sends {
		see(p.sends[i].Operation)
	}
	for _, list := range [][]*histories.Operation{p.fetches, p.lists, p.deletes} {
		for _, o := range list {
			see(o)
		}
	}
	return start
}

// summary is what the group's judge was given.
func (p *progress) summary() GroupReport {
	g := GroupReport{
		Group: p.group, Topic: p.of.key.Topic, Partition: p.of.key.Partition,
		Commits: len(p.commits), Reads: len(p.reads), Spells: len(p.spells),
	}
	for _, o := range p.handed {
		g.Handed += len(given(o))
	}
	return g
}

func (p *progress) add(name Name, o *histories.Operation, offset api.Offset, message string, others ...*histories.Operation) {
	p.of.add(Anomaly{Name: name, Offset: offset, Value: p.of.valueAt(offset), Message: message, Witness: witness(append(others, o)...)})
}
