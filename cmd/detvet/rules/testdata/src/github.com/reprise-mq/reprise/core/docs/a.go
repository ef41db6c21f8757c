package docs // want `package docs has no comment: say what it owns`

func Bare() {} // want `Bare has no comment`

// Told has one.
func Told() {}

type Thing struct{} // want `type Thing has no comment`

func (Thing) Method() {} // want `Method has no comment`

type hidden struct{}

func (hidden) Method() {}

type list[T any] struct{}

func (*list[T]) Method() {}

// A group of types needs a comment for each.
type (
	InGroup struct{} // want `type InGroup has no comment`
	// Other has one.
	Other struct{}
)

var Value = 1 // the end of the line is enough

const (
	One = 1 // the end of the line is enough
	Two = 2 /* this is for Two */

	/* and nothing for */
	Five, Six = 5, 6
)

var Seven = func() int { // want `Seven has no comment`
	return 7
}()

// Group covers what stands in it.
const (
	Three = 3
	Four  = 4
)

// It is TODOX, not a mark.
var quiet = 1
