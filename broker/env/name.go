package env

import (
	"errors"
	"strings"
)

// ErrName: the name of a file or folder is not of the form that Disk asks for.
// Nothing was touched.
var ErrName = errors.New("name not allowed")

// NameMax bounds the length of a name in bytes, and so of each of its parts.
const NameMax = 240

// CheckFile says whether name can be a file's: parts of the characters a-z, 0-9,
// '-', '_' and '.', with a slash between two, none of them "." or "..". So a name
// cannot lead out of the disk's root.
func CheckFile(name string) error {
	if len(name) > NameMax {
		return ErrName
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, foreign) {
			return ErrName
		}
	}
	return nil
}

// CheckFolder says whether name can be a folder's: a file's with a slash at its
// end, or the root's, "".
func CheckFolder(name string) error {
	if name == "" {
		return nil
	}
	file, ok := strings.CutSuffix(name, "/")
	if !ok {
		return ErrName
	}
	return CheckFile(file)
}

// IsFolder says whether a name is written as a folder's.
func IsFolder(name string) bool { return name == "" || strings.HasSuffix(name, "/") }

// Above is the folder that a name stands in; the root stands in itself.
func Above(name string) string {
	return name[:strings.LastIndexByte(strings.TrimSuffix(name, "/"), '/')+1]
}

func foreign(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
}
