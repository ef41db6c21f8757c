// Package rapid stands for the library.
package rapid
