package core

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// share is a partition that a consumer owns, from when it hears of it until it gives it
// up or loses it. A partition that comes back is another share, so that answers to the
// former one's questions are known to be of no use.
type share struct {
	consumer *Consumer
	key      TopicPartition
	// gone: it is not the consumer's any more.
	gone bool
	// giving: it is to be given up, before giveBy; nothing more is handed out.
	giving bool
	giveBy env.Time

	place place
	// told: Assigned has named it.
	told bool
	// busy: a question about the position, or a fetch, is under way.
	busy     bool
	retryAt  env.Time
	failures int

	// done <= handed <= next: records below done are processed, those below handed were
	// handed out, those below next were fetched.
	done, handed, next api.Offset
	// committed is what the coordinator has, -1 if nothing.
	committed api.Offset
	ready     []Record
	bytes     int
}

// place says what is known of where to read.
type place uint8

const (
	// placeUnknown: the committed offset has not been heard.
	placeUnknown place = iota
	// placeReset: there is none, or it is out of range, so the policy decides.
	placeReset
	placeKnown
)

// groupPartition names the share in a request.
func (s *share) groupPartition() *api.GroupPartition { return groupPartition(s.key) }

func groupPartition(p TopicPartition) *api.GroupPartition {
	return &api.GroupPartition{TopicId: uint64(p.ID), Partition: int32(p.Partition), Topic: p.Topic}
}

// same reports whether two name the same partition of the same incarnation.
func same(a, b TopicPartition) bool { return a.ID == b.ID && a.Partition == b.Partition }

// CompareTopicPartitions orders partitions by topic id and number.
func CompareTopicPartitions(a, b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Partition, b.Partition))
}

// share gives the share of a partition, nil if there is none.
func (k *Consumer) share(p TopicPartition) *share {
	at, found := k.find(p)
	if !found {
		return nil
	}
	return k.shares[at]
}

// find gives the place of a partition in shares, and whether it has a share.
func (k *Consumer) find(p TopicPartition) (at int, found bool) {
	return slices.BinarySearchFunc(k.shares, p, func(s *share, p TopicPartition) int { return CompareTopicPartitions(s.key, p) })
}

// own adds a share.
func (k *Consumer) own(p TopicPartition) {
	at, _ := k.find(p)
	k.shares = slices.Insert(k.shares, at, &share{consumer: k, key: p, committed: -1})
}

// disown removes shares, with all that was fetched of them. It gives those that Assigned
// had named: of the others nobody has to be told.
func (k *Consumer) disown(gone func(*share) bool) []TopicPartition {
	var list []TopicPartition
	k.shares = slices.DeleteFunc(k.shares, func(s *share) bool {
		if !gone(s) {
			return false
		}
		s.gone = true
		s.discard()
		if s.told {
			list = append(list, s.key)
		}
		return true
	})
	return list
}

// discard drops what was fetched and not handed out.
func (s *share) discard() {
	s.consumer.buffered -= s.bytes
	s.ready, s.bytes = nil, 0
	s.next = s.handed
}

// processed notes that all that was handed out is processed.
func (k *Consumer) processed() {
	for _, s := range k.shares {
		s.done = s.handed
	}
}

func (s *share) hasRecords() bool { return !s.giving && len(s.ready) > 0 }

// take hands out up to n records.
func (s *share) take(records []ConsumedRecord, n int) []ConsumedRecord {
	n = min(n, len(s.ready))
	for _, r := range s.ready[:n] {
		records = append(records, ConsumedRecord{s.key, r})
		s.handed = r.Offset + 1
		s.weigh(-weight(r))
	}
	s.ready = s.ready[n:]
	return records
}

func (s *share) weigh(bytes int) {
	s.bytes += bytes
	s.consumer.buffered += bytes
}

func weight(r Record) int {
	n := recordRoom + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += recordRoom + len(h.Key) + len(h.Value)
	}
	return n
}

// locate asks for the committed offsets of the shares that are new. That is after the
// assignment was heard, so what the former owner committed before it gave up is there.
func (k *Consumer) locate(now env.Time) {
	if k.locating || now < k.locateAt {
		return
	}
	var list []*share
	var asked []*api.GroupPartition
	for _, s := range k.shares {
		if s.place == placeUnknown && !s.giving && len(list) < maxLocate {
			list = append(list, s)
			asked = append(asked, s.groupPartition())
		}
	}
	if len(list) == 0 {
		return
	}
	k.locating = true
	k.client.FetchOffsets(k.options.Group, asked, k.options.Session, func(r Result) {
		k.locating = false
		k.checkLease(k.client.clock.Now()) // nobody is told to begin where the time is up
		k.located(list, r)
		k.pump()
	})
}

func (k *Consumer) located(list []*share, r Result) {
	if r.Err != nil && r.Err.Code != api.Code_UNKNOWN_GROUP {
		k.locateTry++
		k.locateAt = k.client.clock.Now() + k.client.backoff(k.locateTry)
		k.complainOf(r.Err)
		return
	}
	k.locateTry = 0
	committed := make(map[TopicPartition]api.Offset)
	for _, o := range r.Response.GetFetchOffsets().GetOffsets() {
		p := o.GetPartition()
		committed[TopicPartition{ID: api.TopicID(p.GetTopicId()), Partition: api.Partition(p.GetPartition())}] = api.Offset(o.GetOffset())
	}
	var begun []AssignedPartition
	for _, s := range list {
		if s.gone || s.giving {
			continue
		}
		s.place = placeReset
		if at, known := committed[TopicPartition{ID: s.key.ID, Partition: s.key.Partition}]; known && at >= 0 {
			s.begin(at)
			s.committed, s.told = s.next, true
			begun = append(begun, AssignedPartition{s.key, s.next, true})
		}
	}
	k.tellAssigned(begun)
}

func (k *Consumer) tellAssigned(list []AssignedPartition) {
	if len(list) > 0 && k.events.Assigned != nil {
		k.later(func() { k.events.Assigned(list) })
	}
}

// begin sets the position. Records that are being processed are not yet done; the next
// poll will say so.
func (s *share) begin(at api.Offset) {
	if s.done == s.handed {
		s.done = at
	}
	s.next, s.handed, s.place = at, at, placeKnown
}

// pump asks for what the share needs next.
func (s *share) pump(now env.Time) {
	if s.busy || s.gone || s.giving || now < s.retryAt {
		return
	}
	switch {
	case s.place == placeReset && len(s.ready) == 0:
		s.reset()
	case s.place == placeKnown && s.bytes <= s.fetchBytes():
		s.fetch(now)
	}
}

// fetchBytes is the share's part of half of the buffer: what is fetched while as much
// waits to be handed out fills the rest.
func (s *share) fetchBytes() int {
	k := s.consumer
	return min(int(k.options.FetchBytes), max(minFetch, k.options.BufferedBytes/2/len(k.shares)))
}

// ask begins an operation of the share; then is told its result unless it came too late.
func (s *share) ask(start func(done func(Result)), then func(Result)) {
	s.busy = true
	start(func(r Result) {
		s.busy = false
		s.consumer.checkLease(s.consumer.client.clock.Now())
		if !s.gone {
			then(r)
		}
		s.consumer.pump()
	})
}

// pause has the share try again later.
func (s *share) pause() {
	s.failures++
	s.retryAt = s.consumer.client.clock.Now() + s.consumer.client.backoff(s.failures)
}

// failed has the share try again later, and a poll told of what that will not mend.
func (s *share) failed(err *api.Error) {
	s.pause()
	s.consumer.complainOf(err)
}

// reset finds the position by the policy.
func (s *share) reset() {
	k := s.consumer
	spec := api.OffsetSpec_EARLIEST
	switch k.options.Reset {
	case ResetFail:
		k.complain(api.Errorf(api.Code_OFFSET_OUT_OF_RANGE, "group %q has no offset, or none that is still there, in %q partition %d, and its policy is to fail; reset its offsets", k.options.Group, s.key.Topic, s.key.Partition))
		s.pause()
		return
	case ResetLatest:
		spec = api.OffsetSpec_LATEST
	}
	s.ask(func(done func(Result)) {
		k.client.ListOffsets(s.key.Topic, s.key.Partition, spec, 0, done)
	}, func(r Result) {
		switch {
		case r.Err != nil:
			s.failed(r.Err)
		case r.Topic != s.key.ID || s.giving:
			s.pause() // It is another incarnation; the coordinator will say.
		default:
			s.failures = 0
			s.begin(max(0, api.Offset(r.Response.GetListOffsets().Offset)))
			if !s.told {
				s.told = true
				k.tellAssigned([]AssignedPartition{{s.key, s.next, false}})
			}
		}
	})
}

// fetch asks for the records that follow.
func (s *share) fetch(now env.Time) {
	k, from := s.consumer, s.next
	options := FetchOptions{MaxBytes: int32(s.fetchBytes()), MaxWait: k.options.FetchWait}
	s.ask(func(done func(Result)) {
		k.client.Fetch(s.key.Topic, s.key.Partition, from, options, done)
	}, func(r Result) {
		switch {
		case s.giving || from != s.next:
			// What was fetched is not wanted any more.
		case r.Err.GetCode() == api.Code_OFFSET_OUT_OF_RANGE && r.Topic == s.key.ID:
			s.place = placeReset
		case r.Err != nil:
			s.failed(r.Err)
		case r.Topic != s.key.ID:
			s.pause()
		case len(r.Records) == 0 && k.client.clock.Now() < now+k.options.FetchWait/2:
			s.pause() // The leader has not waited as it was asked to.
		default:
			s.failures = 0
			s.fetched(r.Records)
		}
	})
}

func (s *share) fetched(records []Record) {
	for _, r := range records {
		// Offsets ascend, whatever a damaged answer says.
		if r.Offset >= s.next {
			s.ready = append(s.ready, r)
			s.weigh(weight(r))
			s.next = r.Offset + 1
		}
	}
}
