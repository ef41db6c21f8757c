package group

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// commit takes how far a member has come: all of it, or nothing.
func (s *State) commit(name string, c *Commit, out *Outcome) {
	if !s.mayCommit(name, c, out) {
		return
	}
	g := s.groups[name]
	if c.Member != 0 && c.Sequence != 0 {
		g.members[c.Member].sequence = c.Sequence
	}
	if g == nil {
		g = newGroup()
		s.groups[name] = g
	}
	out.Topics = g.put(c.Offsets)
	if c.Member == 0 {
		g.emptied = s.clock.Elapsed()
	}
}

// mayCommit reports whether a commit changes anything, or says what is wrong with it.
func (s *State) mayCommit(name string, c *Commit, out *Outcome) bool {
	g := s.groups[name]
	switch {
	case c.Member != 0 && (g == nil || g.members[c.Member] == nil):
		out.unknown(name, c.Member)
	case c.Member == 0 && g != nil && len(g.members) > 0:
		out.refuse(api.Code_GROUP_NOT_EMPTY, "group %q has members: only they commit; join it, or use another group", name)
	case g == nil && len(s.groups) >= MaxGroups:
		out.tooManyGroups()
	case c.Member != 0 && c.Sequence != 0 && c.Sequence <= g.members[c.Member].sequence:
		g.members[c.Member].repeated(name, c, out)
	default:
		return s.mayHold(name, c.Offsets, out) && (c.Member == 0 || g.owns(name, c, out))
	}
	return false
}

// repeated answers a copy of a commit: of the last one that was taken, or of an older one
// that must not undo it.
func (m *member) repeated(name string, c *Commit, out *Outcome) {
	if c.Sequence < m.sequence {
		out.refuse(api.Code_STALE_COMMIT, "member %d of group %q has made commit %d since commit %d; there is nothing to do", m.id, name, m.sequence, c.Sequence)
	}
}

// put takes offsets, and reports whether one is of a partition that had none.
func (g *group) put(offsets []Offset) bool {
	before := len(g.offsets)
	for _, o := range offsets {
		g.setOffset(o)
	}
	return len(g.offsets) > before
}

// mayHold says what is wrong with offsets that a group is to have, which may not be there
// yet.
func (s *State) mayHold(name string, offsets []Offset, out *Outcome) bool {
	g := s.groups[name]
	bytes, more := 0, make(map[Partition]bool)
	for _, o := range offsets {
		if o.Offset < 0 || len(o.Metadata) > MaxMetadata {
			out.refuse(api.Code_INVALID_REQUEST, "offset %d with metadata of %d bytes: offsets begin at 0, and metadata ends at %d bytes",
				o.Offset, len(o.Metadata), MaxMetadata)
			return false
		}
		more[o.Partition] = true
		bytes += o.size()
	}
	all := len(more)
	if g != nil {
		all += len(g.offsets)
		//detvet:allow maporder they are counted
		for p := range more {
			if old, known := g.offsets[p]; known {
				all--
				bytes -= old.size()
			}
		}
	}
	if all > MaxOffsets {
		out.refuse(api.Code_GROUPS_FULL, "group %q would have %d offsets, and %d is as many as there may be; reset some", name, all, MaxOffsets)
		return false
	}
	return !s.full(bytes, out)
}

// owns says of which partition a commit's member is not the owner.
func (g *group) owns(name string, c *Commit, out *Outcome) bool {
	for _, o := range c.Offsets {
		if !g.may(c, o.Partition) {
			out.refuse(api.Code_MEMBER_FENCED, "member %d of group %q does not own partition %d of topic %d since epoch %d; beat, and commit what it keeps",
				c.Member, name, o.Partition.Number, o.Partition.Topic, c.Epoch)
			return false
		}
	}
	return true
}

// may reports whether a commit's member owns a partition, and has since the epoch that it
// knew.
func (g *group) may(c *Commit, p Partition) bool {
	o, owned := g.owners[p]
	return owned && o.member == c.Member && o.since <= c.Epoch && c.Epoch <= g.members[c.Member].epoch
}

// reset sets offsets, or forgets them, where nobody reads.
func (s *State) reset(c *decoded, out *Outcome) {
	g := s.empty(c.group, out)
	if g == nil {
		return
	}
	set := slices.DeleteFunc(slices.Clone(c.offsets), func(o Offset) bool { return o.Offset == Forget })
	if !s.mayHold(c.group, set, out) {
		return
	}
	out.Topics = g.put(set)
	for _, o := range c.offsets {
		if o.Offset == Forget {
			g.forgetOffset(o.Partition)
		}
	}
	g.emptied = s.clock.Elapsed()
}

// remove deletes a group.
func (s *State) remove(name string, out *Outcome) {
	if s.empty(name, out) != nil {
		s.drop(name)
	}
}

// empty is the group of a name that has no members, or says what is wrong.
func (s *State) empty(name string, out *Outcome) *group {
	g := s.groups[name]
	switch {
	case g == nil:
		out.refuse(api.Code_UNKNOWN_GROUP, "there is no group %q", name)
	case len(g.members) > 0:
		out.refuse(api.Code_GROUP_NOT_EMPTY, "group %q has %d members; stop them first", name, len(g.members))
	default:
		return g
	}
	return nil
}
