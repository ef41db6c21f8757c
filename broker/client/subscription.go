package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/histories"
)

// SubscribeOptions are how a member of a consumer group behaves. A zero field takes the
// default given with it.
type SubscribeOptions struct {
	// Group is the group's name.
	Group string
	// Topics to read. Pattern, a regular expression, adds those whose names it matches,
	// also when they are made later.
	Topics  []string
	Pattern string
	// Instance makes the member a static one: it may restart within its session without
	// anything being moved. Of two that run by one name, the one that joined first is done:
	// its polls fail with FENCED_INSTANCE.
	Instance string
	// Session is how long the member may be silent (10 s); Rebalance how long it may work
	// from Poll to Poll when something has to be given up (60 s).
	Session, Rebalance time.Duration
	// PollInterval is how long the application may take from a Poll to the next (5 min).
	// After that the member gives all up, which the next Poll says with POLL_OVERDUE, and
	// joins again.
	PollInterval time.Duration
	// Assignor spreads the partitions over the members (sticky).
	Assignor api.Assignor
	// AutoCommit is how often what was processed is committed; 0 leaves it to Commit.
	AutoCommit time.Duration
	// Reset says where to begin where nothing is committed (earliest).
	Reset core.ResetPolicy
	// MaxPoll is how many records a Poll gives at most (500).
	MaxPoll int
	// Assigned, Revoked and Lost are called inside Poll and Close, one at a time.
	// Partitions in Revoked are still the member's until it returns, so it may Commit in
	// it; those in Lost are not.
	Assigned func([]core.AssignedPartition)
	Revoked  func([]core.TopicPartition)
	Lost     func([]core.TopicPartition)
}

// GroupRecord is a record, and the partition that it is of.
type GroupRecord = core.ConsumedRecord

// Subscription is a member of a consumer group. Poll and Close are for one goroutine at a
// time; Commit and CommitOffsets may be called by any.
//
// A Poll says that the records of the one before are processed: only then are they
// committed, and only then may their partitions go to another member. So each record is
// processed at least once, and by one member at a time.
type Subscription struct {
	client   *Client
	options  SubscribeOptions
	consumer *core.Consumer
	record   *memberHistory
	// abandoned: a Close has given up, and nobody will run events. It is the driver's.
	abandoned bool

	mu sync.Mutex
	// events are to be told in the next Poll, in order; news says that there are some.
	events []func()
	news   chan struct{}
	// polled is the last answer of the core; records that Poll has not given yet are struck
	// from it when their partitions are lost.
	polled polled
}

// polled is an answer of the core to a poll of a member.
type polled struct {
	member  uint64
	records []GroupRecord
	err     *api.Error
}

// Subscribe makes a member of a group, which joins at once, in the background.
func (c *Client) Subscribe(ctx context.Context, options SubscribeOptions) (*Subscription, error) {
	op := fmt.Sprintf("subscribe in group %q", options.Group)
	var pattern *regexp.Regexp
	if options.Pattern != "" {
		var err error
		if pattern, err = regexp.Compile(options.Pattern); err != nil {
			return nil, &Error{Op: op, Code: api.Code_INVALID_REQUEST, Definite: true, Message: err.Error(), cause: err}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, unsent(op, err)
	}
	s := &Subscription{client: c, options: options, record: c.config.History.member(options.Group), news: make(chan struct{}, 1)}
	// It is answered at once, so ctx has no say: a member that the caller did not get would
	// hold its partitions until it was not polled for too long.
	err := s.call(context.WithoutCancel(ctx), op, func(done func(*api.Error)) {
		consumer, err := c.core.Subscribe(core.ConsumerOptions{
			Group: options.Group, Topics: options.Topics, Pattern: pattern, Instance: options.Instance,
			Session: duration(options.Session), Rebalance: duration(options.Rebalance),
			PollInterval: duration(options.PollInterval), Assignor: options.Assignor,
			AutoCommit: duration(options.AutoCommit), Reset: options.Reset,
		}, s.told())
		s.consumer = consumer
		done(err)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// told puts what the core tells off to the next Poll.
func (s *Subscription) told() core.ConsumerEvents {
	return core.ConsumerEvents{
		Assigned: func(list []core.AssignedPartition) {
			s.record.assigned(s.consumer.Member(), list)
			s.tell(func() {
				if s.options.Assigned != nil {
					s.options.Assigned(list)
				}
			})
		},
		Revoked: func(list []core.TopicPartition, release func()) {
			given := s.record.ending(histories.Revoked, list)
			end := func() {
				given()
				release()
			}
			if s.abandoned {
				end()
				return
			}
			s.tell(func() {
				if s.options.Revoked != nil {
					s.options.Revoked(list)
				}
				s.client.driver.Do(end)
			})
		},
		Lost: func(list []core.TopicPartition) {
			s.strike(list)
			s.tell(func() {
				if s.options.Lost != nil {
					s.options.Lost(list)
				}
			})
		},
		Committing: func(list []core.CommitPosition) func(core.Result) {
			return s.record.committing(s.consumer.Member(), list)
		},
	}
}

func (s *Subscription) tell(event func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// runEvents calls the user's functions for what has happened.
func (s *Subscription) runEvents() {
	for {
		s.mu.Lock()
		events := s.events
		s.events = nil
		s.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, event := range events {
			event()
		}
	}
}

// pollWait is how long one poll of the core waits; Poll goes on with another.
const pollWait = 5 * time.Second

// Poll gives the next records as soon as there are any, and says that those given before
// are processed. When ctx ends first it gives its error, and no record is missed.
func (s *Subscription) Poll(ctx context.Context) ([]GroupRecord, error) {
	op := fmt.Sprintf("poll in group %q", s.options.Group)
	for {
		s.runEvents()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ok := s.pollOnce(ctx)
		s.runEvents()
		records, err := s.take()
		switch {
		case !ok:
			return nil, unsent(op, ErrClosed)
		case err != nil:
			return nil, errorOf(op, ctx, resultOf(err))
		case len(records) > 0:
			return records, nil
		}
	}
}

// pollOnce carries a poll of the core out, and ends it when ctx is done: a poll that went
// on behind the caller's back could give records that are another member's when they are
// taken. It is false if the client is closed.
func (s *Subscription) pollOnce(ctx context.Context) bool {
	answered := make(chan struct{})
	begun := s.client.driver.Do(func() {
		s.record.processed(s.consumer.Member())
		s.consumer.Poll(s.options.MaxPoll, duration(pollWait), func(records []core.ConsumedRecord, err *api.Error) {
			s.put(polled{s.consumer.Member(), records, err})
			close(answered)
		})
	})
	if !begun {
		return false
	}
	ended := ctx.Done()
	for {
		select {
		case <-answered:
			return true
		case <-s.news:
			s.runEvents()
		case <-ended:
			ended = nil
			s.client.driver.Do(s.consumer.StopPoll)
		case <-s.client.stopped:
			return false
		}
	}
}

func (s *Subscription) put(p polled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polled = p
}

// strike takes from the answer what is lost: it came while the user's functions were
// called, and by now the partitions may be another member's.
func (s *Subscription) strike(lost []core.TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.ending(histories.Lost, lost)()
	s.polled.records = slices.DeleteFunc(s.polled.records, func(r GroupRecord) bool { return slices.Contains(lost, r.TopicPartition) })
}

// take gives what is left of the answer, which is handed out by that.
func (s *Subscription) take() ([]GroupRecord, *api.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.polled
	s.polled = polled{}
	s.record.handed(p.member, p.records)
	return p.records, p.err
}

// Commit commits what is processed: what was given before the last Poll.
func (s *Subscription) Commit(ctx context.Context) error {
	return s.call(ctx, fmt.Sprintf("commit in group %q", s.options.Group), func(done func(*api.Error)) { s.consumer.Commit(done) })
}

// CommitOffsets commits offsets of the next records to read, all or none. One that is
// ahead of what Poll gave is refused.
func (s *Subscription) CommitOffsets(ctx context.Context, positions []core.CommitPosition) error {
	return s.call(ctx, fmt.Sprintf("commit offsets in group %q", s.options.Group), func(done func(*api.Error)) {
		s.consumer.CommitOffsets(positions, done)
	})
}

// Close says that all that Poll gave is processed, commits it with AutoCommit, gives the
// partitions up and leaves the group, unless the member is a static one. An error is of
// the last commit. When ctx ends first, all that goes on in the background, and Revoked is
// called no more.
func (s *Subscription) Close(ctx context.Context) error {
	op := fmt.Sprintf("close the consumer of group %q", s.options.Group)
	p, err := s.begin(op, func(done func(*api.Error)) {
		s.record.processed(s.consumer.Member())
		s.consumer.Close(done)
	})
	if err != nil {
		return err
	}
	for {
		s.runEvents()
		select {
		case <-s.news:
			continue
		case <-p.answered:
		case <-ctx.Done():
			s.client.driver.Do(func() { s.abandoned = true })
		case <-s.client.stopped:
		}
		_, err := p.wait(ctx)
		s.runEvents()
		return err
	}
}

// call runs something of the core and waits for its end.
func (s *Subscription) call(ctx context.Context, op string, start func(done func(*api.Error))) error {
	p, err := s.begin(op, start)
	if err != nil {
		return err
	}
	_, err = p.wait(ctx)
	return err
}

// begin has something of the core begin, unless the client is closed.
func (s *Subscription) begin(op string, start func(done func(*api.Error))) (*pending, error) {
	p := &pending{client: s.client, op: op, answered: make(chan struct{})}
	begun := false
	// That the driver stopped at last does not say that nothing began.
	s.client.driver.Do(func() {
		begun = true
		start(func(err *api.Error) {
			p.result = resultOf(err)
			close(p.answered)
		})
	})
	if !begun {
		return nil, unsent(op, ErrClosed)
	}
	return p, nil
}

// resultOf is how something of a consumer ended.
func resultOf(err *api.Error) core.Result {
	return core.Result{Err: err, Definite: err == nil || err.Code.Definite()}
}

// IsFenced reports whether a commit failed because partitions are another member's by
// now; what was processed of them will be processed again.
func IsFenced(err error) bool {
	return errors.Is(err, &Error{Code: api.Code_MEMBER_FENCED}) || errors.Is(err, &Error{Code: api.Code_UNKNOWN_MEMBER}) ||
		errors.Is(err, &Error{Code: api.Code_FENCED_INSTANCE})
}
