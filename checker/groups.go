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
	// spellsOf[m] are the spells of member m, by their places in spells.
	spellsOf map[uint64][]int
	// processed is how far members were done with it while they read it, in order; tells is
	// false where no member of the group ever says: then they are done with what they are
	// handed.
	processed []mark
	tells     bool
	// known is what was known to be committed; asked when an offset was first asked to be.
	known marks
	asked map[api.Offset]histories.Index
	// unjudged: see GroupReport.
	unjudged int
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
			p = &progress{group: group, of: at(key), spellsOf: make(map[uint64][]int), asked: make(map[api.Offset]histories.Index)}
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
				if _, known := p.asked[to.Offset]; !known && o.Outcome != histories.Fail {
					p.asked[to.Offset] = o.Invoked
				}
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
			find(n.Group, Key{n.Topic, n.Partition}).begin(n, e.Index)
		case histories.Processed:
			telling[n.Group] = true
			p := find(n.Group, Key{n.Topic, n.Partition})
			if s := p.open(n.Member); s != nil {
				p.processed = append(p.processed, mark{at: e.Index, offset: n.Offset})
				s.done = max(s.done, n.Offset)
			}
		case histories.Revoked, histories.Lost:
			find(n.Group, Key{n.Topic, n.Partition}).end(n, e.Index)
		}
	}
	for _, p := range r.groups {
		p.tells = telling[p.group]
		p.gatherKnown()
	}
	slices.SortFunc(r.groups, func(a, b *progress) int {
		return cmp.Or(cmp.Compare(a.group, b.group), a.of.key.compare(b.of.key))
	})
}

// begin notes that a member begins to read. It reads no more what it read before.
func (p *progress) begin(n *histories.Note, at histories.Index) {
	if s := p.open(n.Member); s != nil {
		s.ended, s.lost = at, true
	}
	p.spellsOf[n.Member] = append(p.spellsOf[n.Member], len(p.spells))
	p.spells = append(p.spells, spell{member: n.Member, began: at, ended: histories.Never, from: n.Offset, committed: n.Committed})
}

func (p *progress) end(n *histories.Note, at histories.Index) {
	if s := p.open(n.Member); s != nil {
		s.ended, s.lost = at, n.Op == histories.Lost
	}
}

// open is the spell of a member that has not ended; nil if there is none.
func (p *progress) open(member uint64) *spell {
	if i := p.latest(member, histories.Never); i >= 0 && p.spells[i].ended == histories.Never {
		return &p.spells[i]
	}
	return nil
}

// latest is the place of the last spell of a member that began before an event, or -1.
func (p *progress) latest(member uint64, event histories.Index) int {
	own := p.spellsOf[member]
	n, _ := slices.BinarySearchFunc(own, event, func(place int, i histories.Index) int { return cmp.Compare(p.spells[place].began, i) })
	if n == 0 {
		return -1
	}
	return own[n-1]
}

// holder is the spell in which a member was handed something; nil if it read nothing then.
func (p *progress) holder(o *histories.Operation) *spell {
	if i := p.latest(o.Call.Member, o.Invoked); i >= 0 && o.Invoked < p.spells[i].ended {
		return &p.spells[i]
	}
	return nil
}

// gatherKnown gathers what was known to be committed: by a commit that was taken, by a read,
// or by a member that began there because it was.
func (p *progress) gatherKnown() {
	var known []mark
	for _, c := range p.commits {
		if c.Outcome == histories.Ok {
			known = append(known, mark{c.Completed, c.offset, c.Operation})
		}
	}
	for _, read := range p.reads {
		if read.Outcome == histories.Ok {
			known = append(known, mark{read.Completed, read.Answer.Offset, read})
		}
	}
	for i := range p.spells {
		if s := &p.spells[i]; s.committed {
			known = append(known, mark{at: s.began, offset: s.from})
		}
	}
	p.known = rising(known)
}

// judge holds a group's progress to its rules.
func (p *progress) judge() {
	p.checkOwners()
	p.checkNeverEnded()
	p.checkCommits()
	p.checkReads()
	p.checkStarts()
	p.checkSteps()
	p.checkHanded()
}

// checkOwners: who gives a partition up in order has stopped before another begins, and
// nobody commits after another has begun. That a member which was expired reads on, as
// far as it does not know yet, no group can help: it hears of it, and has lost the partition.
func (p *progress) checkOwners() {
	for i := range p.spells {
		a := &p.spells[i]
		if a.lost || a.ended == histories.Never {
			continue
		}
		for j := i + 1; j < len(p.spells) && p.spells[j].began < a.ended; j++ {
			b := &p.spells[j]
			if b.member == a.member {
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

// checkNeverEnded: a member that neither gave a partition up nor heard that it has lost it
// stopped without a word, and is handed nothing after another has begun.
func (p *progress) checkNeverEnded() {
	reported := make(map[*spell]bool)
	for _, o := range p.handed {
		s := p.holder(o)
		if s == nil || s.ended != histories.Never || reported[s] {
			continue
		}
		if next := p.successor(s.member, o.Invoked); next != nil {
			reported[s] = true
			p.add(TwoOwners, o, o.Call.Offset, fmt.Sprintf(
				"member %d of group %q, which never gave the partition up nor lost it, was handed records by %s, and member %d had begun at event %d",
				s.member, p.group, describe(o), next.member, next.began))
		}
	}
}

// successor is the spell of another member that began before an event, after the last one
// of a member; nil if there is none.
func (p *progress) successor(member uint64, before histories.Index) *spell {
	if next := p.latest(member, before) + 1; next < len(p.spells) && p.spells[next].began < before {
		return &p.spells[next]
	}
	return nil
}

// checkCommits: nobody commits more than the group is done with. What it was handed and is
// still at work on, it would miss if who commits it failed. What was trimmed nobody can
// miss: a member that finds it gone goes on behind it.
func (p *progress) checkCommits() {
	done := slices.Clone(p.processed)
	for i := range p.spells {
		done = append(done, mark{at: p.spells[i].began, offset: p.spells[i].from})
	}
	for _, o := range p.handed {
		if records := given(o); !p.tells && len(records) > 0 {
			done = append(done, mark{at: o.Completed, offset: records[len(records)-1].Offset + 1})
		}
	}
	trimmed, reached := p.of.mayBeTrimmed(), rising(done)
	for _, c := range p.commits {
		most := max(trimmed, reached.before(c.Invoked).offset)
		if c.Call.Member != 0 && c.offset > most {
			p.add(CommitAhead, c.Operation, c.offset, fmt.Sprintf(
				"%s commits offset %d for group %q, which is done with nothing beyond offset %d", describe(c.Operation), c.offset, p.group, most-1))
		}
	}
}

// checkReads: what is committed is a register that members only move on. A read is at or
// above every commit, and every read, that was answered before it was asked, and is what
// some commit asked for before it was answered. That a commit of less is taken says nothing
// yet: a copy of the last commit is answered as that was, and sets nothing back.
func (p *progress) checkReads() {
	for _, read := range p.reads {
		if read.Outcome != histories.Ok {
			continue
		}
		found := read.Answer.Offset
		if known := p.known.before(read.Invoked); found < known.offset {
			p.add(CommitRegress, read, max(found, 0), fmt.Sprintf("%s was told %d, though %s before",
				describe(read), found, told(known)), known.by)
		}
		if found != histories.NoOffset && !p.askedFor(found, read.Completed) {
			p.add(CommitPhantom, read, found, fmt.Sprintf("%s was told %d, which nobody had committed for group %q", describe(read), found, p.group))
		}
	}
}

// askedFor: a commit that did not fail had asked for the offset before an event.
func (p *progress) askedFor(offset api.Offset, before histories.Index) bool {
	asked, ok := p.asked[offset]
	return ok && asked < before
}

// told says in words how an offset was known to be committed.
func told(known mark) string {
	if known.by == nil {
		return fmt.Sprintf("a member had begun at %d as committed at event %d", known.offset, known.at)
	}
	return fmt.Sprintf("%s had told %d", describe(known.by), known.offset)
}

// checkStarts: a member begins where the group stands. It asks after it was assigned the
// partition, and from then on nobody else's commit is taken: so it begins not behind what
// was known to be committed when it began, nor beyond what anybody committed. Where
// something is committed it begins nowhere else, unless that may be trimmed.
func (p *progress) checkStarts() {
	for i := range p.spells {
		s := &p.spells[i]
		known := p.known.before(s.began)
		began := fmt.Sprintf("member %d of group %q began at event %d at offset %d", s.member, p.group, s.began, s.from)
		switch {
		case s.from < known.offset:
			p.add(StartBehind, known.by, s.from, fmt.Sprintf("%s, though %s before", began, told(known)))
		case s.committed && !p.askedFor(s.from, s.began):
			p.add(CommitPhantom, nil, s.from, began+" as committed, which nobody had committed")
		case !s.committed && known.offset >= 0 && s.from > known.offset && !p.of.startMayExceed(known.offset, s.began):
			p.add(StartAhead, known.by, s.from, fmt.Sprintf("%s, though %s before and nothing from there on was deleted", began, told(known)))
		}
	}
}

// checkSteps: while a member reads a partition, it is handed what follows: from where it
// began, and then from one past the last record. Only what may be trimmed is left out.
func (p *progress) checkSteps() {
	stands := make(map[*spell]api.Offset)
	for _, o := range p.handed {
		s, records := p.holder(o), given(o)
		if s == nil || len(records) == 0 {
			continue
		}
		next, before := stands[s]
		if !before {
			next = s.from
		}
		first := records[0].Offset
		message := fmt.Sprintf("%s was handed to member %d of group %q, which had come to offset %d", describe(o), s.member, p.group, next)
		switch {
		case next == histories.NoOffset:
		case first < next:
			p.add(NonmonotonicPoll, o, first, message)
		case first > next && !p.of.startMayExceed(first-1, o.Deadline()):
			p.add(PollSkip, o, first, message+"; nothing between was deleted")
		}
		if stands[s] = records[len(records)-1].Offset + 1; o.Outcome != histories.Ok {
			stands[s] = histories.NoOffset // the member may or may not go on behind what a failed fetch gave it
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
		s := p.holder(o)
		for _, r := range given(o) {
			if !p.tells || s != nil && r.Offset < s.done {
				done[r.Offset] = true
			}
		}
		if s == nil {
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
	p.checkProcessed(first, done)
}

// checkProcessed goes through the records below what is committed in the end. Those that a
// delete records of unknown outcome may have deleted are unjudged.
func (p *progress) checkProcessed(first api.Offset, done map[api.Offset]bool) {
	known := p.known.before(histories.Never)
	mayBeTrimmed := p.of.mayBeTrimmed()
	for offset := max(first, p.of.trimmed()); offset < known.offset; offset++ {
		switch {
		case done[offset]:
		case offset >= api.Offset(len(p.of.slots)) || offset >= mayBeTrimmed:
			p.add(Unprocessed, known.by, offset, fmt.Sprintf("no member of group %q was handed offset %d and done with it, though %s", p.group, offset, told(known)))
			return
		default:
			p.unjudged++
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

// mayBeTrimmed is the highest log start that there may have been, were it only by a delete
// records of unknown outcome; noMost if one asked for all.
func (p *partition) mayBeTrimmed() api.Offset {
	start := p.trimmed()
	for _, o := range p.deletes {
		switch {
		case o.Outcome != histories.Info:
		case o.Call.Offset < 0:
			return noMost
		default:
			start = max(start, o.Call.Offset)
		}
	}
	return start
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
		Commits: len(p.commits), Reads: len(p.reads), Spells: len(p.spells), Unjudged: p.unjudged,
	}
	for _, o := range p.handed {
		g.Handed += len(given(o))
	}
	return g
}

func (p *progress) add(name Name, o *histories.Operation, offset api.Offset, message string, others ...*histories.Operation) {
	p.of.add(Anomaly{Name: name, Offset: offset, Value: p.of.valueAt(offset), Message: message, Witness: witness(append(others, o)...)})
}
