package sim

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// commitment is a commit of a rogue, of one partition.
type commitment struct {
	member, epoch, sequence uint64
	partition               int32
	offset                  api.Offset
}

// commit commits, and holds the answer against what may be: code, or, if that is OK, nothing
// else. What is not said of retriable errors, and of no answer at all.
func (m *rogueMember) commit(c commitment, what string, must ...api.Code) {
	r, topic := m.run, m.run.plan.Workload.Topic
	process := r.recorder.NewProcess()
	r.recorder.Invoke(r.now(), process, histories.Call{
		Op: histories.Commit, Group: groupName, Member: c.member,
		Offsets: []histories.GroupOffset{{Topic: topic, Partition: api.Partition(c.partition), Offset: c.offset}},
	})
	m.ask(&api.Request{Body: &api.Request_CommitOffsets{CommitOffsets: &api.CommitOffsetsRequest{
		Shard: shard(), Group: groupName, Member: c.member, Epoch: c.epoch, Sequence: c.sequence,
		Offsets: []*api.GroupOffset{{Partition: m.partition(c.partition), Offset: int64(c.offset)}},
	}}}, func(answer *api.Response) {
		code := answer.GetError().GetCode()
		if answer != nil && code == api.Code_OK {
			r.recorder.Ok(r.now(), process, histories.Answer{})
			if m.stay != nil && m.stay.id == c.member {
				m.taken = max(m.taken, c.sequence)
			}
		} else {
			r.ended(process, answer)
		}
		switch {
		case answer == nil || code.Retriable() || slices.Contains(must, code):
		case code == api.Code_OK:
			r.fail(BadInputTaken, "member %d in epoch %d commits offset %d of partition %d, %s, and that is taken",
				c.member, c.epoch, c.offset, c.partition, what)
		default:
			r.fail(GoodInputRefused, "member %d in epoch %d commits offset %d of partition %d, %s, and the answer is %v",
				c.member, c.epoch, c.offset, c.partition, what, answer.GetError())
		}
	})
}

// commitOwn commits a partition of its own, at what the group has committed there, of which
// it asks first. Nobody else commits there meanwhile.
func (m *rogueMember) commitOwn() {
	s := m.stay
	var mine []int32
	for _, p := range s.owned() {
		if s.keeps[p] && s.claims(p) {
			mine = append(mine, p)
		}
	}
	if len(mine) == 0 {
		m.beat()
		return
	}
	p := mine[m.draw(drawReplica, int64(len(mine)))]
	at, known := m.at[p]
	if !known {
		m.locate(p)
		return
	}
	m.commits++
	m.commit(commitment{s.id, s.epoch, m.commits, p, at}, "which is its own", api.Code_OK, api.Code_UNKNOWN_MEMBER)
}

// locate asks how far the group has come in a partition, and begins to read it.
func (m *rogueMember) locate(p int32) {
	r, s := m.run, m.stay
	process := r.recorder.NewProcess()
	r.recorder.Invoke(r.now(), process, histories.Call{
		Op: histories.FetchOffset, Group: groupName, Topic: r.plan.Workload.Topic, Partition: api.Partition(p),
	})
	m.ask(&api.Request{Body: &api.Request_FetchOffsets{FetchOffsets: &api.FetchOffsetsRequest{
		Shard: shard(), Group: groupName, Partitions: m.partitions([]int32{p}),
	}}}, func(answer *api.Response) {
		told := answer.GetFetchOffsets().GetOffsets()
		if len(told) != 1 {
			r.ended(process, answer)
			m.expect(answer, "asks for an offset")
			return
		}
		at := api.Offset(told[0].GetOffset())
		r.recorder.Ok(r.now(), process, histories.Answer{Offset: at})
		// Where nothing is committed, a commit would say that there is nothing before it.
		if at >= 0 && s == m.stay && s.keeps[p] && s.claims(p) && !s.reading[p] {
			m.at[p], s.reading[p] = at, true
			s.note(histories.Assigned, p, at)
		}
	})
}

// commitLost commits what it lost, or never had, as of an epoch that it had or will have.
func (m *rogueMember) commitLost() {
	s := m.stay
	id, epoch, what := s.id, s.epoch, "which it does not own"
	p := int32(m.draw(drawReplica, int64(m.run.plan.Workload.Partitions)))
	refusals := []api.Code{api.Code_MEMBER_FENCED, api.Code_UNKNOWN_MEMBER}
	switch kind := m.draw(drawPeer, 6); {
	case kind == 0 && len(m.former) > 0:
		id, what = m.former[m.draw(drawNode, int64(len(m.former)))], "though it was ended"
		epoch = 0 // it may not have been, so far
	case kind == 1:
		epoch, what = epoch+1000, "in an epoch that is to come"
	case kind == 2:
		epoch, what = 0, "in no epoch"
	case s.keeps[p] || s.gives[p]:
		m.beat()
		return
	case kind == 3:
		epoch = uint64(m.draw(drawNode, int64(epoch)))
	}
	m.commit(commitment{id, epoch, 0, p, 0}, what, refusals...)
}

// commitAs commits as another member: what that does not own, or in an epoch in which it does
// not.
func (m *rogueMember) commitAs() {
	if len(m.owners) == 0 {
		m.describe()
		return
	}
	o := m.owners[m.draw(drawPeer, int64(len(m.owners)))]
	p := int32(m.draw(drawReplica, int64(m.run.plan.Workload.Partitions)))
	owned, epoch := numbersOf(slices.Concat(o.GetKeeps(), o.GetGives())), o.GetEpoch()
	if owned[p] {
		epoch = []uint64{0, epoch + 1_000_000}[m.draw(drawNode, 2)]
	}
	m.commit(commitment{o.GetMember(), epoch, 0, p, 0}, "which it does not own in that epoch", api.Code_MEMBER_FENCED, api.Code_UNKNOWN_MEMBER)
}

// commitOlder sends a commit again that was taken, with another offset: the last one, which
// is answered as it was, or an older one. Neither sets anything back.
func (m *rogueMember) commitOlder() {
	s := m.stay
	read := slices.Sorted(maps.Keys(s.reading))
	if m.taken < 2 || len(read) == 0 {
		m.commitOwn()
		return
	}
	p := read[m.draw(drawReplica, int64(len(read)))]
	c := commitment{s.id, s.epoch, m.taken, p, 0}
	refusals := []api.Code{api.Code_STALE_COMMIT, api.Code_MEMBER_FENCED, api.Code_UNKNOWN_MEMBER}
	if m.draw(drawPeer, 2) == 0 {
		m.commit(c, "in its last commit again", append(refusals, api.Code_OK)...)
		return
	}
	c.sequence--
	m.commit(c, "in a commit older than its last", refusals...)
}
