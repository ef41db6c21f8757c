package group

import "github.com/reprise-mq/reprise/broker/api"

// commit takes how far a member has come: all of it, or nothing.
func (s *State) commit(name string, c *Commit, out *Outcome) {
	g := s.groups[name]
	switch {
	case c.Member != 0 && (g == nil || g.members[c.Member] == nil):
		out.unknown(name, c.Member)
		return
	case c.Member == 0 && g != nil && len(g.members) > 0:
		out.refuse(api.Code_GROUP_NOT_EMPTY, "group %q has members: only they commit; join it, or use another group", name)
		return
	}
	for _, o := range c.Offsets {
		switch {
		case o.Offset < 0 || len(o.Metadata) > MaxMetadata:
			out.refuse(api.Code_INVALID_REQUEST, "offset %d with metadata of %d bytes: offsets begin at 0, and metadata ends at %d bytes",
				o.Offset, len(o.Metadata), MaxMetadata)
			return
		case c.Member != 0 && !g.may(c, o.Partition):
			out.refuse(api.Code_MEMBER_FENCED, "member %d of group %q does not own partition %d of topic %d since epoch %d; sync, and commit what it keeps",
				c.Member, name, o.Partition.Number, o.Partition.Topic, c.Epoch)
			return
		}
	}
	if g == nil {
		g = &group{members: map[MemberID]*member{}, owners: map[Partition]owner{}, offsets: map[Partition]Offset{}}
		s.groups[name] = g
	}
	for _, o := range c.Offsets {
		g.offsets[o.Partition] = o
	}
	if c.Member != 0 {
		g.members[c.Member].beats++
	} else {
		g.emptied = s.clock.Elapsed()
	}
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
	for _, o := range c.offsets {
		if o.Offset < Forget {
			out.refuse(api.Code_INVALID_REQUEST, "offset %d: offsets begin at 0", o.Offset)
			return
		}
	}
	for _, o := range c.offsets {
		if o.Offset == Forget {
			delete(g.offsets, o.Partition)
		} else {
			g.offsets[o.Partition] = o
		}
	}
	g.emptied = s.clock.Elapsed()
}

// remove deletes a group.
func (s *State) remove(name string, out *Outcome) {
	if s.empty(name, out) != nil {
		delete(s.groups, name)
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
