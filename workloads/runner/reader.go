package runner

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
)

// Reader reads every partition from its log start to its end, once the faults of a
// run are over, and marks what it does as final.
type Reader struct {
	log     Log
	client  *core.Client
	topics  []Topic
	process histories.Process
	done    func(complete bool)

	// topic and partition are what is being read, up to end; next is the offset
	// to go on at.
	topic     int
	partition api.Partition
	next, end api.Offset
	// given: the process was given records of the partition up to next.
	given bool
	// failures of the partition; at maxFailures it is given up.
	failures int
	complete bool
}

const (
	maxFailures   = 100
	failurePause  = 200 * env.Millisecond
	readerTimeout = 10 * env.Second
)

// NewReader makes a reader of topics, which calls done at the end: complete if
// every partition was read to its end.
func NewReader(log Log, client *core.Client, topics []Topic, done func(complete bool)) *Reader {
	return &Reader{log: log, client: client, topics: topics, done: done, process: log.Recorder.NewProcess(), complete: true}
}

// Start begins to read. The driver flushes the core afterwards.
func (r *Reader) Start() {
	if r.topic == len(r.topics) {
		r.done(r.complete)
		return
	}
	r.given, r.failures = false, 0
	r.list(api.OffsetSpec_EARLIEST, func(start api.Offset) {
		r.list(api.OffsetSpec_LATEST, func(end api.Offset) {
			r.next, r.end = start, end
			r.fetch()
		})
	})
}

// skip goes on to the next partition.
func (r *Reader) skip() {
	r.partition++
	if int(r.partition) == r.topics[r.topic].Partitions {
		r.topic, r.partition = r.topic+1, 0
	}
	r.Start()
}

func (r *Reader) list(spec api.OffsetSpec, then func(api.Offset)) {
	t := r.topics[r.topic]
	r.log.Recorder.Invoke(r.log.Now(), r.process, histories.Call{
		Op: histories.ListOffsets, Topic: t.Recorded, Partition: r.partition, Spec: spec, Final: true,
	})
	r.client.ListOffsets(t.Name, r.partition, spec, readerTimeout, func(result core.Result) {
		if result.Err != nil {
			r.failed(result.Err.Code, func() { r.list(spec, then) })
			return
		}
		offset := api.Offset(result.Response.GetListOffsets().GetOffset())
		r.log.Recorder.Ok(r.log.Now(), r.process, histories.Answer{Offset: offset})
		then(offset)
	})
}

func (r *Reader) fetch() {
	if r.next >= r.end {
		r.skip()
		return
	}
	t := r.topics[r.topic]
	r.log.Recorder.Invoke(r.log.Now(), r.process, histories.Call{
		Op: histories.Fetch, Topic: t.Recorded, Partition: r.partition, Offset: r.next, Continue: r.given, Final: true,
	})
	r.client.Fetch(t.Name, r.partition, r.next, core.FetchOptions{Timeout: readerTimeout}, func(result core.Result) {
		if result.Err != nil {
			r.failed(result.Err.Code, r.fetch)
			return
		}
		answer := fetched(result)
		r.log.Recorder.Ok(r.log.Now(), r.process, answer)
		next, ok := after(answer.Records)
		if !ok {
			// The end was listed and is not there: the checker will say so.
			r.complete = false
			r.skip()
			return
		}
		r.given, r.next = true, next
		r.fetch()
	})
}

// failed records that a read failed, and tries again after a pause. A topic that
// may be gone and is unknown is gone.
func (r *Reader) failed(code api.Code, again func()) {
	r.log.Recorder.Fail(r.log.Now(), r.process, code)
	r.failures++
	switch {
	case code == api.Code_UNKNOWN_TOPIC_OR_PARTITION && r.topics[r.topic].Lost:
		r.skip()
	case code == api.Code_UNKNOWN_TOPIC_OR_PARTITION, r.failures >= maxFailures:
		r.complete = false
		r.skip()
	default:
		r.client.After(failurePause, again)
	}
}
