package core

import (
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// membership is what a consumer knows of itself as a member of its group. One question
// about it is under way at a time, so answers come in the order of their questions.
type membership struct {
	// id is 0 while the consumer is no member.
	id                uint64
	epoch, generation uint64
	// token names the attempt to become a member; nil when none is under way.
	token []byte
	// life counts the memberships that ended; an answer to an earlier one counts no more.
	// former is the last of them, 0 for none.
	life, former uint64

	// asking: a join or a beat is under way. The next one is at a time; again: at once.
	asking, again bool
	at            env.Time
	failures      int
	// early is how many more beats may be early.
	early int
	// changed: the coordinator has to hear what is subscribed to by now.
	changed bool

	// lease is when the member owns nothing any more unless a beat is answered; heard
	// is when the last question was sent that was answered.
	lease, heard env.Time
	// given are partitions that were given up, and that the coordinator may not know of.
	given []given
}

// given is a partition that was given up, and by when the coordinator has to hear of it.
type given struct {
	TopicPartition
	by env.Time
}

func (m *membership) gave(p TopicPartition) bool {
	return slices.ContainsFunc(m.given, func(g given) bool { return same(g.TopicPartition, p) })
}

func sortedSet(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// pumpMembership joins, or beats, when that is due.
func (k *Consumer) pumpMembership(now env.Time) {
	m := &k.member
	k.match(now)
	switch {
	case m.asking || now < m.at || k.closing.isLeaving() || k.fatal != nil:
	case m.id == 0:
		if k.matched && k.closing == nil && !k.unpolled(now) {
			k.join(now)
		}
	case m.changed:
		k.join(now)
	default:
		k.beat(now)
	}
}

// match looks for topics that the pattern matches, every now and then. It asks the meta
// leader: any other node may be behind, or was removed, and would have topics come and go.
func (k *Consumer) match(now env.Time) {
	if k.options.Pattern == nil || k.matching || now < k.matchAt || k.closing != nil {
		return
	}
	k.matching = true
	k.client.Metadata(&api.MetadataRequest{Linearizable: true}, k.options.Session, func(r Result) {
		k.matching = false
		k.matchedTopics(r)
		k.pump()
	})
}

func (k *Consumer) matchedTopics(r Result) {
	now := k.client.clock.Now()
	if r.Err != nil {
		k.matchTry++
		k.matchAt = now + k.client.backoff(k.matchTry)
		k.complainOf(r.Err)
		return
	}
	k.matchTry = 0
	k.matchAt = now + k.options.Refresh
	names := slices.Clone(k.options.Topics)
	for _, t := range r.Response.GetMetadata().GetTopics() {
		if k.options.Pattern.MatchString(t.GetName()) && !strings.HasPrefix(t.GetName(), "__") {
			names = append(names, t.Name)
		}
	}
	names = sortedSet(names)
	if !k.matched || !slices.Equal(names, k.topics) {
		k.topics, k.matched = names, true
		k.member.changed = true
		k.beatSoon()
	}
}

// join becomes a member, or says what is subscribed to by now.
func (k *Consumer) join(now env.Time) {
	m := &k.member
	if m.id == 0 && m.token == nil {
		m.token = make([]byte, 16)
		_, _ = k.client.random.Read(m.token) // never fails
	}
	request := &api.JoinGroupRequest{
		Group: k.options.Group, Member: m.id, Instance: k.options.Instance, Assignor: k.options.Assignor,
		SessionMs: int64(k.options.Session / env.Millisecond), RebalanceMs: int64(k.options.Rebalance / env.Millisecond),
		Topics: k.topics, Token: m.token,
	}
	if m.id == 0 && k.options.Instance != "" {
		request.Former = m.former
	}
	m.changed = false
	k.ask(now, func(done func(Result)) {
		// Half of the lease: what a later attempt is told is then of use for the other half.
		k.client.JoinGroup(request, k.options.silence()/2, done)
	}, func(r Result) {
		if r.Err != nil {
			m.changed = true
			return
		}
		if m.id == 0 {
			m.id, m.token = r.Response.GetMembership().Member, nil
			m.epoch, m.generation, m.given, m.heard = 0, 0, nil, now
			m.early = earlyBeats
		}
	})
}

// beat says that the member lives, and what it has given up.
func (k *Consumer) beat(now env.Time) {
	m := &k.member
	request := &api.BeatRequest{Group: k.options.Group, Instance: k.options.Instance, Member: m.id, Epoch: m.epoch}
	for _, g := range m.given {
		request.Given = append(request.Given, groupPartition(g.TopicPartition))
	}
	k.ask(now, func(done func(Result)) {
		k.client.Beat(request, k.options.silence()/beatsPerSession, done)
	}, func(Result) {})
}

// ask begins a question about the membership. The lease counts from now, though the
// attempt that is answered may be a later one.
func (k *Consumer) ask(now env.Time, start func(done func(Result)), then func(Result)) {
	m := &k.member
	m.asking, m.again = true, false
	life := m.life
	start(func(r Result) {
		if life != m.life {
			return
		}
		m.asking = false
		then(r)
		if r.Err != nil {
			k.askFailed(r.Err)
		} else {
			m.failures = 0
			m.at = now + k.options.silence()/beatsPerSession
			k.heard(now, r.Response.GetMembership())
			k.beatEarly(r.Response.GetMembership())
		}
		if m.again {
			m.at = 0
		}
		k.pump()
	})
}

// beatEarly has a member that has just joined, and is given nothing yet, ask again before its
// beat is due: the generation that gives it something begins after the join is answered, and
// others may have to give that up first.
func (k *Consumer) beatEarly(answer *api.MembershipResponse) {
	m := &k.member
	if m.early == 0 || len(answer.Keeps)+len(answer.Gives) > 0 {
		m.early = 0
		return
	}
	m.early--
	m.at = min(m.at, k.client.clock.Now()+k.client.backoff(earlyBeats-m.early))
}

func (k *Consumer) askFailed(err *api.Error) {
	m := &k.member
	if m.id != 0 && (err.Code == api.Code_UNKNOWN_MEMBER || err.Code == api.Code_UNKNOWN_GROUP) {
		k.lose(false)
		return
	}
	if err.Code == api.Code_FENCED_INSTANCE {
		k.fail(err)
		return
	}
	m.failures++
	m.at = k.client.clock.Now() + k.client.backoff(m.failures)
	k.complainOf(err)
}

// beatSoon has the coordinator asked without waiting for the next beat.
func (k *Consumer) beatSoon() {
	k.member.again = k.member.asking
	if !k.member.asking && k.member.failures == 0 {
		k.member.at = 0
	}
}

// heard takes an answer to a question that was sent at a time.
func (k *Consumer) heard(sent env.Time, answer *api.MembershipResponse) {
	m := &k.member
	if answer.Epoch < m.epoch || answer.Generation < m.generation {
		return
	}
	before := m.heard
	m.epoch, m.generation, m.heard = answer.Epoch, answer.Generation, sent
	m.lease = sent + k.options.silence()
	keeps, gives := k.named(answer.Keeps), k.named(answer.Gives)
	k.forfeit(keeps, gives)
	for _, p := range gives {
		s := k.share(p)
		switch {
		case s == nil && !m.gave(p):
			// Never begun, or known by no name: there is nothing to stop.
			m.given = append(m.given, given{p, before + k.options.Rebalance})
			k.beatSoon()
		case s != nil && !s.giving:
			s.give(before + k.options.Rebalance)
		}
	}
	m.given = slices.DeleteFunc(m.given, func(g given) bool { return !containsPartition(gives, g.TopicPartition) })
	if k.closing != nil {
		return
	}
	for _, p := range keeps {
		s := k.share(p)
		switch {
		case s == nil && p.Topic != "":
			k.own(p)
		case s != nil && s.giving && !k.revoking.has(s):
			s.giving = false
		}
	}
}

// give has a share given up, by a time. What was fetched is dropped.
func (s *share) give(by env.Time) {
	s.giving, s.giveBy = true, by
	s.discard()
}

// forfeit drops the shares that an answer does not name: the coordinator has taken them.
func (k *Consumer) forfeit(keeps, gives []TopicPartition) {
	k.tellLost(k.disown(func(s *share) bool {
		return !containsPartition(keeps, s.key) && !containsPartition(gives, s.key)
	}))
}

func (k *Consumer) tellLost(list []TopicPartition) {
	if len(list) > 0 && k.events.Lost != nil {
		k.later(func() { k.events.Lost(list) })
	}
}

// containsPartition looks a partition up in a list that named has made.
func containsPartition(list []TopicPartition, p TopicPartition) bool {
	_, found := slices.BinarySearchFunc(list, p, CompareTopicPartitions)
	return found
}

// named reads a list of partitions, each once. One that comes without its topic's name,
// and whose topic is not known by its id, stays without: it cannot be read yet.
func (k *Consumer) named(list []*api.GroupPartition) []TopicPartition {
	var all []TopicPartition
	for _, g := range list {
		p := TopicPartition{Topic: g.GetTopic(), ID: api.TopicID(g.GetTopicId()), Partition: api.Partition(g.GetPartition())}
		if p.Topic == "" {
			p.Topic = k.nameOf(p.ID)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, CompareTopicPartitions)
	return slices.CompactFunc(all, same)
}

// nameOf is the name of a topic that is subscribed to, "" if it is not known: then the
// topics that are not known are looked up, and the coordinator is asked again.
func (k *Consumer) nameOf(id api.TopicID) string {
	for _, name := range k.topics {
		t := k.client.topic(name)
		if t != nil && t.id == id {
			return name
		}
		if t != nil && t.id == 0 && !t.refreshing {
			k.client.await(t, func(bool) {
				k.beatSoon()
				k.pump()
			})
		}
	}
	return ""
}

// checkLease ends the membership when its time is up: the coordinator may have given
// everything to others by now.
func (k *Consumer) checkLease(now env.Time) {
	m := &k.member
	late := slices.ContainsFunc(k.shares, func(s *share) bool { return s.giving && now >= s.giveBy }) ||
		slices.ContainsFunc(m.given, func(g given) bool { return now >= g.by })
	if m.id != 0 && (late || now >= m.lease) {
		k.client.mark("consumer gave its lease up")
		k.lose(true)
	}
}

// unpolled reports whether the application has not polled for too long.
func (k *Consumer) unpolled(now env.Time) bool {
	return k.poll == nil && k.closing == nil && now >= k.pollBy
}

// checkPolls ends the membership of a consumer that is not polled, which the next poll is
// told. It is none again when that begins.
func (k *Consumer) checkPolls(now env.Time) {
	if k.member.id == 0 || !k.unpolled(now) {
		return
	}
	k.client.mark("consumer was not polled")
	k.complain(api.Errorf(api.Code_POLL_OVERDUE, "group %q was not polled for %d ms, and its partitions were given up; poll again, more often or for fewer records", k.options.Group, k.options.PollInterval/env.Millisecond))
	k.lose(true)
}

// fail ends the membership for good: the consumer would only take the place of another
// again. Every poll is told.
func (k *Consumer) fail(err *api.Error) {
	k.client.mark("consumer was fenced by another of its instance")
	k.fatal = err
	k.lose(false)
}

// lose ends the membership: all partitions are lost at once, and the consumer joins anew.
// A coordinator that may still hold the member is told, unless a static one is to find
// its place again.
func (k *Consumer) lose(leave bool) {
	m := &k.member
	if leave && k.options.Instance == "" {
		k.client.LeaveGroup(k.options.Group, m.id, closeTimeout, func(Result) {})
	}
	former := m.former
	if m.id != 0 {
		former = m.id
	}
	*m = membership{life: m.life + 1, former: former}
	k.revoking = nil
	k.locateAt = 0
	k.tellLost(k.disown(func(*share) bool { return true }))
}
