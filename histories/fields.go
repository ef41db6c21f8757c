package histories

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/reprise-mq/reprise/broker/api"
)

// field is one field of a line. Writing and reading go by the same table, so that
// they cannot drift apart.
type field struct {
	name string
	// optional: the field is left out where its value is zero.
	optional bool
	// put appends the value; it is not called for an optional zero.
	put func(b []byte, e *Event) []byte
	// get sets the value, or says what is wrong with it.
	get  func(raw []byte, e *Event) error
	zero func(e *Event) bool
}

// header is what every line begins with.
var header = []field{
	number("index", 0, math.MaxInt64-1, func(e *Event) *Index { return &e.Index }),
	number("time", 0, math.MaxInt64, func(e *Event) *Time { return &e.Time }),
	number("process", -1, math.MaxInt64, func(e *Event) *Process { return &e.Process }),
	enum("kind", kindNames[:], func(e *Event) *Kind { return &e.Kind }),
	enum("op", opNames[:], func(e *Event) *Op { return &e.Op }),
}

// Fields of a call.
var (
	topic      = text("topic", func(e *Event) *string { return &e.Call.Topic })
	partition  = number("partition", 0, math.MaxInt32, func(e *Event) *api.Partition { return &e.Call.Partition })
	acks       = enum("acks", []string{api.Acks_ALL: "all", api.Acks_NONE: "none"}, func(e *Event) *api.Acks { return &e.Call.Acks })
	producer   = optional(number("producer", 1, math.MaxInt64, func(e *Event) *api.ProducerID { return &e.Call.Producer }))
	epoch      = number("epoch", 0, math.MaxInt16, func(e *Event) *api.Epoch { return &e.Call.Epoch })
	sequence   = number("sequence", 0, math.MaxInt32, func(e *Event) *api.Sequence { return &e.Call.Sequence })
	asked      = number("offset", math.MinInt64, math.MaxInt64, func(e *Event) *api.Offset { return &e.Call.Offset })
	before     = number("before", math.MinInt64, math.MaxInt64, func(e *Event) *api.Offset { return &e.Call.Offset })
	spec       = enum("spec", []string{api.OffsetSpec_LATEST: "latest", api.OffsetSpec_EARLIEST: "earliest", api.OffsetSpec_AT_TIME: "at_time"}, func(e *Event) *api.OffsetSpec { return &e.Call.Spec })
	partitions = number("partitions", math.MinInt32, math.MaxInt32, func(e *Event) *int32 { return &e.Call.Partitions })
	continued  = flag("continue", func(e *Event) *bool { return &e.Call.Continue })
	final      = flag("final", func(e *Event) *bool { return &e.Call.Final })
	values     = field{name: "values", put: putValues, get: getValues}
	times      = optional(field{name: "times", put: putTimes, get: getTimes, zero: func(e *Event) bool { return e.Call.Times == nil }})
	group      = text("group", func(e *Event) *string { return &e.Call.Group })
	member     = optional(number("member", 1, math.MaxUint64, func(e *Event) *uint64 { return &e.Call.Member }))
	reached    = field{name: "offsets", put: putOffsets, get: getOffsets}
	sought     = optional(number("at", math.MinInt64, math.MaxInt64, func(e *Event) *int64 { return &e.Call.Time }))
)

// calls[op] is what an invocation has after the header.
var calls = [...][]field{
	Produce:       {topic, partition, values, times, acks, producer, ofProducer(epoch), ofProducer(sequence)},
	Fetch:         {topic, partition, asked, continued, final, optional(group), member},
	ListOffsets:   {topic, partition, spec, sought, final},
	DeleteRecords: {topic, partition, before},
	CreateTopic:   {topic, partitions},
	DeleteTopic:   {topic},
	InitProducer:  {producer, ofProducer(epoch)},
	Commit:        {group, member, reached},
	FetchOffset:   {group, topic, partition},
}

// Fields of an answer.
var (
	found         = number("offset", 0, math.MaxInt64, func(e *Event) *api.Offset { return &e.Answer.Offset })
	highWatermark = number("high_watermark", int64(NoOffset), math.MaxInt64, func(e *Event) *api.Offset { return &e.Answer.HighWatermark })
	logStart      = number("log_start", int64(NoOffset), math.MaxInt64, func(e *Event) *api.Offset { return &e.Answer.LogStart })
	given         = number("producer", 1, math.MaxInt64, func(e *Event) *api.ProducerID { return &e.Answer.Producer })
	givenEpoch    = number("epoch", 0, math.MaxInt16, func(e *Event) *api.Epoch { return &e.Answer.Epoch })
	foundTime     = optional(flag("found", func(e *Event) *bool { return &e.Answer.Found }))
	timeFound     = optional(number("stamp", math.MinInt64, math.MaxInt64, func(e *Event) *int64 { return &e.Answer.Time }))
	soughtFrom    = optional(number("log_start", 0, math.MaxInt64, func(e *Event) *api.Offset { return &e.Answer.LogStart }))
	committed     = number("offset", int64(NoOffset), math.MaxInt64, func(e *Event) *api.Offset { return &e.Answer.Offset })
	records       = field{name: "records", put: putRecords, get: getRecords}
)

// answers[op] is what an Ok has after the header.
var answers = [...][]field{
	Produce:       {found, logStart},
	Fetch:         {records, highWatermark, logStart},
	ListOffsets:   {found, foundTime, timeFound, soughtFrom},
	DeleteRecords: {logStart},
	CreateTopic:   {},
	DeleteTopic:   {},
	InitProducer:  {given, givenEpoch},
	Commit:        {},
	FetchOffset:   {committed},
}

// code is what a Fail or Info has after the header.
var code = field{
	name: "error",
	put:  func(b []byte, e *Event) []byte { return strconv.AppendQuote(b, e.Code.String()) },
	get:  getCode,
}

// Fields of a note.
var (
	faultName     = text("name", func(e *Event) *string { return &e.Note.Name })
	target        = text("target", func(e *Event) *string { return &e.Note.Target })
	phase         = enum("phase", phaseNames[:], func(e *Event) *Phase { return &e.Note.Phase })
	ledTopic      = optional(text("topic", func(e *Event) *string { return &e.Note.Topic }))
	ledPartition  = ofTopic(number("partition", 0, math.MaxInt32, func(e *Event) *api.Partition { return &e.Note.Partition }))
	term          = number("term", 0, math.MaxUint64, func(e *Event) *api.Term { return &e.Note.Term })
	node          = number("node", 0, math.MaxUint64, func(e *Event) *api.NodeID { return &e.Note.Node })
	noteGroup     = text("group", func(e *Event) *string { return &e.Note.Group })
	noteMember    = number("member", 1, math.MaxUint64, func(e *Event) *uint64 { return &e.Note.Member })
	noteTopic     = text("topic", func(e *Event) *string { return &e.Note.Topic })
	notePartition = number("partition", 0, math.MaxInt32, func(e *Event) *api.Partition { return &e.Note.Partition })
	noteOffset    = number("offset", 0, math.MaxInt64, func(e *Event) *api.Offset { return &e.Note.Offset })
	wasCommitted  = flag("committed", func(e *Event) *bool { return &e.Note.Committed })
	notes         = map[Op][]field{
		Fault: {faultName, target, phase}, Leader: {ledTopic, ledPartition, term, node},
		Assigned:  {noteGroup, noteMember, noteTopic, notePartition, noteOffset, wasCommitted},
		Processed: {noteGroup, noteMember, noteTopic, notePartition, noteOffset},
		Revoked:   {noteGroup, noteMember, noteTopic, notePartition},
		Lost:      {noteGroup, noteMember, noteTopic, notePartition},
		Retention: {ledTopic},
	}
	failedFetch   = append([]field{code}, answers[Fetch]...)
	failedAnother = []field{code}
)

// number is a field that holds an integer between low and high.
func number[T ~int16 | ~int32 | ~int64 | ~uint64](name string, low int64, high uint64, at func(*Event) *T) field {
	return field{
		name: name,
		zero: func(e *Event) bool { return *at(e) == 0 },
		put: func(b []byte, e *Event) []byte {
			v := *at(e)
			if v > 0 {
				return strconv.AppendUint(b, uint64(v), 10)
			}
			return strconv.AppendInt(b, int64(v), 10)
		},
		get: func(raw []byte, e *Event) error {
			if v, err := strconv.ParseUint(string(raw), 10, 64); err == nil && v <= high && (low <= 0 || v >= uint64(low)) {
				*at(e) = T(v)
				return nil
			}
			if v, err := strconv.ParseInt(string(raw), 10, 64); err == nil && v < 0 && v >= low {
				*at(e) = T(v)
				return nil
			}
			return fmt.Errorf("is %s and should be an integer from %d to %d", short(raw), low, high)
		},
	}
}

// enum is a field that holds one of some names.
func enum[T ~uint8 | ~int32](name string, names []string, at func(*Event) *T) field {
	return field{
		name: name,
		zero: func(e *Event) bool { return *at(e) == 0 },
		put:  func(b []byte, e *Event) []byte { return strconv.AppendQuote(b, names[*at(e)]) },
		get: func(raw []byte, e *Event) error {
			for i, n := range names {
				if len(raw) == len(n)+2 && string(raw[1:len(raw)-1]) == n {
					*at(e) = T(i)
					return nil
				}
			}
			return fmt.Errorf("is %s and should be one of %q", short(raw), names)
		},
	}
}

// text is a field that holds a string of valid UTF-8.
func text(name string, at func(*Event) *string) field {
	return field{
		name: name,
		zero: func(e *Event) bool { return *at(e) == "" },
		put: func(b []byte, e *Event) []byte {
			quoted, err := json.Marshal(*at(e))
			if err != nil {
				panic(fmt.Sprintf("histories: string cannot be encoded: %q", *at(e)))
			}
			return append(b, quoted...)
		},
		get: func(raw []byte, e *Event) error {
			if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, at(e)) != nil {
				return fmt.Errorf("is %s and should be a string", short(raw))
			}
			return nil
		},
	}
}

// flag is a field that is there and true, or not there.
func flag(name string, at func(*Event) *bool) field {
	return optional(field{
		name: name,
		zero: func(e *Event) bool { return !*at(e) },
		put:  func(b []byte, _ *Event) []byte { return append(b, "true"...) },
		get: func(raw []byte, e *Event) error {
			if string(raw) != "true" {
				return fmt.Errorf("is %s and should be true, or left out", short(raw))
			}
			*at(e) = true
			return nil
		},
	})
}

func optional(f field) field {
	f.optional = true
	return f
}

// ofProducer makes a field that is there if and only if the call names a producer.
func ofProducer(f field) field {
	f.optional = true
	f.zero = func(e *Event) bool { return e.Call.Producer == 0 }
	return f
}

// ofTopic makes a field that is there if and only if the note names a topic.
func ofTopic(f field) field {
	f.optional = true
	f.zero = func(e *Event) bool { return e.Note.Topic == "" }
	return f
}

func putValues(b []byte, e *Event) []byte {
	b = append(b, '[')
	for i, v := range e.Call.Values {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(v), 10)
	}
	return append(b, ']')
}

func getValues(raw []byte, e *Event) error {
	if !integers(raw, &e.Call.Values) || len(e.Call.Values) == 0 {
		return fmt.Errorf("is %s and should be a list of at least one integer", short(raw))
	}
	return nil
}

func putTimes(b []byte, e *Event) []byte {
	b = append(b, '[')
	for i, t := range e.Call.Times {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, t, 10)
	}
	return append(b, ']')
}

// getTimes reads the time stamps: as many as values, which stand before them.
func getTimes(raw []byte, e *Event) error {
	if !integers(raw, &e.Call.Times) || len(e.Call.Times) != len(e.Call.Values) {
		return fmt.Errorf("is %s and should be a list of as many integers as there are values", short(raw))
	}
	return nil
}

// integers reads a list of integers, and says whether it is one: null is none.
func integers[T ~int64](raw []byte, list *[]T) bool {
	var read []*T
	if json.Unmarshal(raw, &read) != nil || slices.Contains(read, nil) {
		return false
	}
	for _, v := range read {
		*list = append(*list, *v)
	}
	return true
}

func putRecords(b []byte, e *Event) []byte {
	b = append(b, '[')
	for i, r := range e.Answer.Records {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), int64(r.Offset), 10)
		b = strconv.AppendInt(append(b, ','), int64(r.Value), 10)
		if r.Corrupt {
			b = append(b, `,"corrupt"`...)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

func getRecords(raw []byte, e *Event) error {
	bad := func() error {
		return fmt.Errorf(`is %s and should be a list of [offset,value] or [offset,value,"corrupt"]`, short(raw))
	}
	var list [][]json.RawMessage
	if json.Unmarshal(raw, &list) != nil || list == nil {
		return bad()
	}
	e.Answer.Records = make([]Record, 0, len(list))
	for _, parts := range list {
		if len(parts) != 2 && (len(parts) != 3 || string(parts[2]) != `"corrupt"`) {
			return bad()
		}
		offset, err := strconv.ParseInt(string(parts[0]), 10, 64)
		value, err2 := strconv.ParseInt(string(parts[1]), 10, 64)
		if errors.Join(err, err2) != nil {
			return bad()
		}
		e.Answer.Records = append(e.Answer.Records, Record{api.Offset(offset), Value(value), len(parts) == 3})
	}
	return nil
}

func putOffsets(b []byte, e *Event) []byte {
	b = append(b, '[')
	for i, o := range e.Call.Offsets {
		if i > 0 {
			b = append(b, ',')
		}
		topic, err := json.Marshal(o.Topic)
		if err != nil {
			panic(fmt.Sprintf("histories: string cannot be encoded: %q", o.Topic))
		}
		b = append(append(b, '['), topic...)
		b = strconv.AppendInt(append(b, ','), int64(o.Partition), 10)
		b = strconv.AppendInt(append(b, ','), int64(o.Offset), 10)
		b = append(b, ']')
	}
	return append(b, ']')
}

func getOffsets(raw []byte, e *Event) error {
	bad := func() error {
		return fmt.Errorf("is %s and should be a list of at least one [topic,partition,offset]", short(raw))
	}
	var list [][]json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return bad()
	}
	for _, parts := range list {
		var o GroupOffset
		null := func(part json.RawMessage) bool { return string(part) == "null" }
		if len(parts) != 3 || slices.ContainsFunc(parts, null) || json.Unmarshal(parts[0], &o.Topic) != nil ||
			json.Unmarshal(parts[1], &o.Partition) != nil || json.Unmarshal(parts[2], &o.Offset) != nil || o.Partition < 0 || o.Offset < 0 {
			return bad()
		}
		e.Call.Offsets = append(e.Call.Offsets, o)
	}
	return nil
}

func getCode(raw []byte, e *Event) error {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if v, ok := api.Code_value[s]; ok && v != int32(api.Code_OK) {
			e.Code = api.Code(v)
			return nil
		}
	}
	return fmt.Errorf("is %s and should be the name of an error code", short(raw))
}

// short cuts what an error quotes.
func short(raw []byte) string {
	const most = 60
	if len(raw) <= most {
		return string(raw)
	}
	cut := slices.Clone(raw[:most])
	for !utf8.Valid(cut) && len(cut) > most-utf8.UTFMax {
		cut = cut[:len(cut)-1]
	}
	return string(cut) + "..."
}
