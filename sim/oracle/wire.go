package oracle

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/bundle"
	"github.com/reprise-mq/reprise/broker/env"
)

// reign is what a leader has shown of itself in its term.
type reign struct {
	term    api.Term
	replica api.ReplicaID
	host    env.Endpoint
	life    int // of the host
	// last entry that it sent, and the commit index that it told.
	last, commit api.Index
	// terms of the entries that it sent.
	terms map[api.Index]api.Term
	// taken is when it first sent an entry of its own term: at once when it takes it, which
	// may be long before a majority has it.
	taken map[api.Index]env.Time
}

// ballot is one replica's vote.
type ballot struct {
	replica api.ReplicaID
	term    api.Term
}

// Leader is who leads a group, by the newest term heard of on the wire.
func (o *Oracle) Leader(id api.GroupID) (host env.Endpoint, term api.Term, ok bool) {
	g := o.groups[id]
	if g == nil || len(g.reigns) == 0 {
		return "", 0, false
	}
	r := g.reigns[len(g.reigns)-1]
	return r.host, r.term, true
}

// peer looks at what one node sends another.
func (o *Oracle) peer(from env.Endpoint, batch *api.PeerBatch) {
	h := o.hosts[from]
	if h == nil {
		return
	}
	for id, m := range bundle.Messages(batch) {
		switch m.GetType() {
		case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
			o.leads(h, id, m)
		case raftpb.MsgAppResp:
			if !m.GetReject() {
				o.promisesEntries(h, id, m)
			}
		case raftpb.MsgVote:
			o.promisesOwnVote(h, id, m)
		case raftpb.MsgVoteResp:
			if !m.GetReject() {
				o.promisesVote(h, id, m)
			}
		}
	}
}

// promisesEntries: "my log is yours up to this index".
func (o *Oracle) promisesEntries(h *host, id api.GroupID, m *raftpb.Message) {
	o.stats.Promises++
	index, term := api.Index(m.GetIndex()), api.Term(m.GetTerm())
	im := h.durable.image(id)
	if im == nil {
		o.fail(PromiseBroken, "%s answers an append of group %d, and its platter has nothing of the group", h.name, id)
		return
	}
	if im.hard.Term < term {
		o.fail(PromiseBroken, "%s answers an append of group %d in term %d, and its platter has term %d",
			h.name, id, term, im.hard.Term)
	}
	if index == 0 || index <= im.whole() {
		return
	}
	want := o.group(id).promised(term, index)
	// Entries of a later term may have replaced the one that is promised, in the
	// same batch of the journal even: what is written in order was durable in order.
	replaced := want > 0 && im.term(min(index, im.last())) > want
	if have := im.term(index); !replaced && (have == 0 || want > 0 && have != want) {
		o.fail(PromiseBroken, "%s acknowledges group %d up to index %d (of term %d) in term %d, and its platter holds up to index %d (there of term %d)",
			h.name, id, index, want, term, im.last(), have)
	}
}

// promised is the term of the entry that the leader of a term has at an index, 0 if
// that is not known.
func (g *group) promised(term api.Term, index api.Index) api.Term {
	if r := g.reign(term); r != nil && r.terms[index] != 0 {
		return r.terms[index]
	}
	if index <= g.last() {
		return g.term(index)
	}
	return 0
}

// promisesVote: "in this term I vote for nobody else".
func (o *Oracle) promisesVote(h *host, id api.GroupID, m *raftpb.Message) {
	o.stats.Promises++
	term, to := api.Term(m.GetTerm()), api.ReplicaID(m.GetTo())
	g := o.group(id)
	key := ballot{api.ReplicaID(m.GetFrom()), term}
	if other, ok := g.ballots[key]; ok && other != to {
		o.fail(VotedTwice, "replica %d of group %d votes for replicas %d and %d in term %d", key.replica, id, other, to, term)
	}
	g.ballots[key] = to
	im := h.durable.image(id)
	switch {
	case im == nil:
		o.fail(PromiseBroken, "%s votes for replica %d of group %d in term %d, and its platter has nothing of the group", h.name, to, id, term)
	case im.hard.Term < term || im.hard.Term == term && im.hard.Vote != to:
		o.fail(PromiseBroken, "%s votes for replica %d of group %d in term %d, and its platter has %+v", h.name, to, id, term, im.hard)
	}
}

// promisesOwnVote: "in this term I vote for myself, and shall not lead in it again".
func (o *Oracle) promisesOwnVote(h *host, id api.GroupID, m *raftpb.Message) {
	o.stats.Promises++
	term, own := api.Term(m.GetTerm()), api.ReplicaID(m.GetFrom())
	im := h.durable.image(id)
	if im == nil || im.hard.Term < term || im.hard.Term == term && im.hard.Vote != own {
		o.fail(PromiseBroken, "%s asks for votes for replica %d of group %d in term %d, and its own is not on its platter", h.name, own, id, term)
	}
}

// leads looks at a message that only a leader sends.
func (o *Oracle) leads(h *host, id api.GroupID, m *raftpb.Message) {
	g := o.group(id)
	r := g.reign(api.Term(m.GetTerm()))
	replica := api.ReplicaID(m.GetFrom())
	if r == nil {
		r = g.crown(o, reign{term: api.Term(m.GetTerm()), replica: replica, host: h.name, life: h.life,
			terms: make(map[api.Index]api.Term), taken: make(map[api.Index]env.Time)})
	}
	if r.replica != replica {
		o.fail(TwoLeaders, "replicas %d and %d of group %d both lead in term %d", r.replica, replica, id, r.term)
	}
	if r.replica == replica && (r.host != h.name || r.life != h.life) {
		o.fail(TwoLeaders, "%s: replica %d of group %d leads in term %d, in which it led before it was started again", h.name, replica, id, r.term)
	}
	r.commit = max(r.commit, api.Index(m.GetCommit()))
	if m.GetType() == raftpb.MsgSnap {
		o.offers(h, g, m.GetSnapshot().GetMetadata())
	}
	if r == &g.reigns[len(g.reigns)-1] {
		o.complete(h, g, m)
	}
	for _, e := range m.GetEntries() {
		index, term := api.Index(e.GetIndex()), api.Term(e.GetTerm())
		if term == r.term && index > max(r.last, g.last()) {
			r.taken[index] = o.world.Now()
			o.checkBound(h, g, index, e.GetData())
		}
		r.last = max(r.last, index)
		r.terms[index] = term
	}
}

// offers holds the head of a snapshot against the log.
func (o *Oracle) offers(h *host, g *group, m *raftpb.SnapshotMetadata) {
	index, term := api.Index(m.GetIndex()), api.Term(m.GetTerm())
	switch {
	case index > g.last() && h.disk.Ill():
		// Its disk has not taken the last entries; the sync that will say so is to come.
	case index < firstIndex || index > g.last() || term != g.term(index):
		o.fail(LogMismatch, "%s offers a snapshot of group %d up to entry %d of term %d, and the log has %d entries",
			h.name, g.id, index, term, g.last())
	case !sameConf(m.GetConfState(), g.conf(index)):
		o.fail(ConfMismatch, "%s offers a snapshot of group %d up to entry %d with configuration %s, and the log has %s",
			h.name, g.id, index, confText(m.GetConfState()), confText(g.conf(index)))
	}
}

// reign finds a term's leader.
func (g *group) reign(term api.Term) *reign {
	for i := len(g.reigns) - 1; i >= 0; i-- {
		if g.reigns[i].term == term {
			return &g.reigns[i]
		}
	}
	return nil
}

// crown adds a new leader, in order of terms.
func (g *group) crown(o *Oracle, r reign) *reign {
	o.stats.Elections++
	at := len(g.reigns)
	for at > 0 && g.reigns[at-1].term > r.term {
		at--
	}
	if at > 0 {
		if old := g.reigns[at-1]; old.last > max(old.commit, g.last()) {
			o.stats.Suffixes++
		}
	}
	g.reigns = append(g.reigns, reign{})
	copy(g.reigns[at+1:], g.reigns[at:])
	g.reigns[at] = r
	return &g.reigns[at]
}

// complete holds what the newest leader says of its log against what is committed.
func (o *Oracle) complete(h *host, g *group, m *raftpb.Message) {
	if m.GetType() != raftpb.MsgApp {
		return
	}
	check := func(index api.Index, term api.Term) {
		if index >= firstIndex && index <= g.last() && term != g.term(index) {
			o.fail(LeaderIncomplete, "%s leads group %d in term %d with an entry %d of term %d, and committed is one of term %d",
				h.name, g.id, m.GetTerm(), index, term, g.term(index))
		}
	}
	check(api.Index(m.GetIndex()), api.Term(m.GetLogTerm()))
	for _, e := range m.GetEntries() {
		check(api.Index(e.GetIndex()), api.Term(e.GetTerm()))
	}
}
