package sim

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/prng"
)

// rogueMember is a member of the run's consumer group without the manners of our client:
// it beats late or not at all, gives partitions up late, never, or by a beat that was held
// up, and commits what it has lost, what it never had and what others own, under epochs old,
// present and to come. Each answer is held against the rules. It reads no record: what it may
// commit it commits where the group stands already, so that the others lose nothing by it.
type rogueMember struct {
	run   *run
	fault *plan.Fault
	left  int64
	// node is whom it asks, as long as that answers.
	node env.Endpoint
	// instance, "" for none, is an instance's name: its own, or that of a member whose place
	// it takes: then it is a thief.
	instance string
	thief    bool
	token    []byte
	tokens   byte
	// stay is nil while it is no member; former are the members that it was.
	stay   *stay
	former []uint64
	// held is a beat that gives something up, and is on its way for long.
	held *api.BeatRequest
	// commits counts those of the stay, taken is the last of them that was taken for sure, and
	// at is what the group has committed in a partition
	// that is the stay's, of which it has begun to read.
	commits, taken uint64

	at map[int32]api.Offset
	// owners are the members, by what was last heard of all.
	owners []*api.GroupMember
}

// rogueMember begins a rogue that takes Strength steps in the fault's length.
func (r *run) rogueMember(f *plan.Fault) bool {
	if r.readers == nil || r.topic() == 0 || f.Strength == 0 {
		return false
	}
	r.addRaw()
	m := &rogueMember{run: r, fault: f, left: f.Strength}
	switch m.draw(drawNode, 8) {
	case 0, 1:
		m.instance = fmt.Sprintf("rogue%d", f.Number)
	case 2, 3, 4, 5:
		// Two of them would take it from each other.
		m.instance, r.readers.victim = r.readers.victim, ""
		m.thief = m.instance != ""
	}
	r.noteFault(f, groupName, histories.Point)
	m.step()
	return true
}

func (m *rogueMember) draw(purpose uint64, below int64) int64 {
	return prng.Scale(prng.Hash(m.run.plan.Seed, prng.HashString("rogue member"), uint64(m.fault.Number), uint64(m.left), purpose), below)
}

// then goes on after a pause.
func (m *rogueMember) then() { m.run.after(m.fault, 1, m.fault.Strength, m.step) }

// step does one thing and, when its answer has come, the next.
func (m *rogueMember) step() {
	if m.left--; m.left < 0 || m.run.healed || m.run.over() {
		return
	}
	if m.stay == nil {
		m.join()
		return
	}
	switch m.draw(drawTarget, 14) {
	case 0, 1:
		m.commitLost()
	case 2, 3:
		m.commitAs()
	case 4, 5:
		m.commitOwn()
	case 6:
		m.commitOlder()
	case 7:
		m.repeatOther()
	case 8:
		m.describe()
	case 9:
		m.leaveOrStay()
	default:
		m.beat()
	}
}

// beatAtTheEnd beats when its session is over, and its end perhaps on its way into the log.
func (m *rogueMember) beatAtTheEnd() {
	s, r := m.stay, m.run
	at := s.heard + s.session + env.Time(m.draw(drawPeer, int64(300*env.Millisecond)))
	r.world.Agenda.After(max(0, at-r.world.Agenda.Now()), func() {
		if !r.healed && !r.over() {
			m.send(m.plainBeat())
		}
	})
}

func (m *rogueMember) plainBeat() *api.BeatRequest {
	return &api.BeatRequest{Shard: shard(), Group: groupName, Member: m.stay.id, Epoch: m.stay.epoch, Instance: m.instance}
}

// leaveOrStay leaves, joins once more, beats at the last moment, or says nothing for a while.
func (m *rogueMember) leaveOrStay() {
	switch m.draw(drawPeer, 6) {
	case 0:
		m.leave()
	case 1:
		m.joinAgain()
	case 2, 3:
		m.beatAtTheEnd()
	default:
		m.then()
	}
}

// ask sends a request about the group. done is given nil if there is no answer.
func (m *rogueMember) ask(q *api.Request, done func(*api.Response)) {
	r := m.run
	if m.node == "" {
		m.node = nodeName(1)
		if p := r.partition(plan.Coordinator()); p != nil {
			if host, _, ok := r.oracle.Leader(p.Group); ok {
				m.node = host
			}
		}
	}
	r.raw.ask(m.node, q, func(answer *api.Response) {
		if answer == nil || answer.GetError().GetCode().Retriable() {
			m.node = ""
		}
		done(answer)
		m.then()
	})
}

func shard() *api.TopicRef { return &api.TopicRef{Name: api.GroupsTopic} }

func (m *rogueMember) partition(p int32) *api.GroupPartition {
	return &api.GroupPartition{TopicId: uint64(m.run.topic()), Partition: p}
}

func (m *rogueMember) partitions(list []int32) []*api.GroupPartition {
	var all []*api.GroupPartition
	for _, p := range list {
		all = append(all, m.partition(p))
	}
	return all
}

// join becomes a member.
func (m *rogueMember) join() {
	m.tokens++
	m.token = []byte{byte(m.fault.Number), m.tokens}
	s := &stay{
		run: m.run, thief: m.thief, keeps: map[int32]bool{}, gives: map[int32]bool{}, offered: map[int32]uint64{}, reading: map[int32]bool{}, kept: map[int32]uint64{},
		session:   env.Second + env.Time(m.draw(drawReplica, 4000))*env.Millisecond,
		rebalance: env.Second + env.Time(m.draw(drawPeer, 4000))*env.Millisecond,
	}
	m.joinAs(s, func(sent env.Time, told *api.MembershipResponse) {
		s.id = told.GetMember()
		m.stay, m.held, m.at = s, nil, map[int32]api.Offset{}
		m.commits, m.taken = 0, 0
		m.run.readers.stays = append(m.run.readers.stays, s)
		m.hear(s, sent, told)
	})
}

// joinAgain repeats the join by which it became a member: it makes no second one.
func (m *rogueMember) joinAgain() {
	s := m.stay
	m.joinAs(s, func(sent env.Time, told *api.MembershipResponse) {
		if told.GetMember() == s.id {
			m.hear(s, sent, told)
			return
		}
		if now := m.run.world.Agenda.Now(); now < s.until && now < s.prompt {
			m.run.fail(LeaseBroken, "member %d joins again by its token, and is member %d", s.id, told.GetMember())
		}
		m.end()
	})
}

func (m *rogueMember) joinAs(s *stay, heard func(env.Time, *api.MembershipResponse)) {
	sent := m.run.world.Agenda.Now()
	m.ask(&api.Request{Body: &api.Request_JoinGroup{JoinGroup: &api.JoinGroupRequest{
		Shard: shard(), Group: groupName, Instance: m.instance, Token: m.token, Topics: []string{m.run.plan.Workload.Topic},
		SessionMs: int64(s.session / env.Millisecond), RebalanceMs: int64(s.rebalance / env.Millisecond),
	}}}, func(answer *api.Response) {
		if told := answer.GetMembership(); told != nil && answer.GetError() == nil {
			heard(sent, told)
			return
		}
		m.expect(answer, "joins", api.Code_UNKNOWN_MEMBER)
		if m.stay != nil && answer.GetError().GetCode() == api.Code_UNKNOWN_MEMBER {
			m.stay.ended(answer.GetError())
			m.end()
		}
	})
}

// expect holds an answer that is an error against those that may be.
func (m *rogueMember) expect(answer *api.Response, what string, may ...api.Code) {
	if code := answer.GetError().GetCode(); code != api.Code_OK && !code.Retriable() && !slices.Contains(may, code) {
		m.run.fail(GoodInputRefused, "a member of group %s %s, and the answer is %v", groupName, what, answer.GetError())
	}
}

func (m *rogueMember) hear(s *stay, sent env.Time, told *api.MembershipResponse) {
	s.hear(sent, told)
	for _, p := range s.owned() {
		if s.keeps[p] && s.claims(p) {
			m.run.readers.begins(s.id, p)
		}
	}
}

// end ends the stay.
func (m *rogueMember) end() {
	s := m.stay
	s.until = 0
	s.stops(slices.Sorted(maps.Keys(s.reading)))
	m.former, m.stay = append(m.former, s.id), nil
	m.run.readers.stays = slices.DeleteFunc(m.run.readers.stays, func(o *stay) bool { return o == s })
}

// beat beats: as it should, with what it was not asked to give, or by what was held up.
func (m *rogueMember) beat() {
	s := m.stay
	q := m.plainBeat()
	gives := slices.Sorted(maps.Keys(s.gives))
	switch kind := m.draw(drawPeer, 24); {
	case m.late() && (kind < 3 || kind < 18 && len(gives) > 0):
		q, m.held = m.held, nil
	case kind < 6 && len(gives) > 0:
		q.Given = m.partitions(gives)
		m.held = q
		m.then() // it is on its way, and arrives much later, or never
		return
	case kind < 15 && len(gives) > 0:
		q.Given = m.partitions(gives)
		m.gives(gives, s.epoch)
	case kind == 15 && len(s.keeps) > 0:
		one := slices.Sorted(maps.Keys(s.keeps))[:1]
		q.Given = m.partitions(one)
		m.gives(one, forGood)
	}
	m.send(q)
}

// late reports whether the held beat is of the time before the member was told to keep all
// that it gives up: then it gives nothing up.
func (m *rogueMember) late() bool {
	s := m.stay
	return m.held != nil && !slices.ContainsFunc(m.held.GetGiven(), func(p *api.GroupPartition) bool {
		_, offered := s.offered[p.GetPartition()]
		return offered || s.kept[p.GetPartition()] <= m.held.GetEpoch()
	})
}

// gives notes that partitions are given up, whenever the word of it arrives.
func (m *rogueMember) gives(list []int32, epoch uint64) {
	m.stay.stops(list)
	for _, p := range list {
		m.stay.offered[p] = max(m.stay.offered[p], epoch)
		delete(m.at, p)
	}
}

func (m *rogueMember) send(q *api.BeatRequest) {
	s, sent := m.stay, m.run.world.Agenda.Now()
	m.ask(&api.Request{Body: &api.Request_Beat{Beat: q}}, func(answer *api.Response) {
		switch e := answer.GetError(); {
		case answer == nil:
		case e.GetCode() == api.Code_FENCED_INSTANCE:
			s.fenced(e)
			m.end()
		case e.GetCode() == api.Code_UNKNOWN_MEMBER || e.GetCode() == api.Code_UNKNOWN_GROUP:
			s.ended(e)
			m.end()
		case e != nil:
			m.expect(answer, "beats")
		default:
			m.hear(s, sent, answer.GetMembership())
		}
	})
}

func (m *rogueMember) leave() {
	s := m.stay
	s.stops(slices.Sorted(maps.Keys(s.reading)))
	m.end()
	m.ask(&api.Request{Body: &api.Request_LeaveGroup{LeaveGroup: &api.LeaveGroupRequest{Shard: shard(), Group: groupName, Member: s.id}}},
		func(answer *api.Response) { m.expect(answer, "leaves", api.Code_UNKNOWN_MEMBER) })
}

// describe asks who is a member.
func (m *rogueMember) describe() {
	m.ask(&api.Request{Body: &api.Request_DescribeGroup{DescribeGroup: &api.DescribeGroupRequest{Shard: shard(), Group: groupName}}},
		func(answer *api.Response) {
			m.expect(answer, "describes it", api.Code_UNKNOWN_GROUP)
			if all := answer.GetDescribeGroup(); all != nil {
				m.owners = all.GetMembers()
			}
		})
}

// repeatOther sends a commit of another member again, which was taken some time ago: it
// sets nothing back.
func (m *rogueMember) repeatOther() {
	taken := m.run.readers.taken
	if len(taken) == 0 {
		m.describe()
		return
	}
	q := proto.Clone(taken[m.draw(drawPeer, int64(len(taken)))]).(*api.Request)
	m.ask(q, func(answer *api.Response) {
		m.expect(answer, "repeats a commit", api.Code_STALE_COMMIT, api.Code_MEMBER_FENCED, api.Code_UNKNOWN_MEMBER, api.Code_FENCED_INSTANCE)
	})
}
