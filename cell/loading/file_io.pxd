"""Regular files, read and written whole by threads that run no Python; as `croupier/files.py` does it."""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #ifndef CROUPIER_FILE_IO
    #define CROUPIER_FILE_IO
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <unistd.h>

    static int croupier_file_open(const char *path) {
        return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    }

    /* Bytes of a regular file; -1 for anything else. */
    static int64_t croupier_file_size(int file) {
        struct stat status;
        if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return -1;
        return (int64_t) status.st_size;
    }

    /* `size` bytes from the beginning, or less at the file's end; -1 and errno. */
    static int64_t croupier_file_read(int file, unsigned char *into, int64_t size) {
        int64_t got = 0;
        while (got < size) {
            ssize_t some = pread(file, into + got, (size_t) (size - got), (off_t) got);
            if (some < 0 && errno == EINTR) continue;
            if (some < 0) return -1;
            if (some == 0) break;
            got += some;
        }
        return got;
    }

    /* Whole or not at all, as croupier/files.py does it; 0, or errno. */
    static int croupier_file_keep(
        const char *path, const char *part, const unsigned char *data, int64_t size
    ) {
        int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, error = 0;
        int file = open(part, flags, 0600);
        if (file < 0 && errno == ENOENT) {
            char folder[4096];
            const char *end = strrchr(part, '/');
            if (end == NULL || end - part >= (int) sizeof folder) return ENOENT;
            memcpy(folder, part, end - part);
            folder[end - part] = 0;
            if (mkdir(folder, 0700) && errno != EEXIST) return errno;
            file = open(part, flags, 0600);
        }
        if (file < 0) return errno;
        for (int64_t put = 0; put < size && !error;) {
            ssize_t some = write(file, data + put, (size_t) (size - put));
            if (some >= 0) put += some;
            else if (errno != EINTR) error = errno;
        }
        if (close(file) && !error) error = errno;
        if (!error && rename(part, path)) error = errno;
        if (error) unlink(part);
        return error;
    }
    #endif
    """
    int close(int file) noexcept nogil
    int unlink(const char* path) noexcept nogil
    int open_file "croupier_file_open"(const char* path) noexcept nogil
    int64_t size_of_file "croupier_file_size"(int file) noexcept nogil
    int64_t read_file "croupier_file_read"(int file, unsigned char* into, int64_t size) noexcept nogil
    int keep_file "croupier_file_keep"(
        const char* path, const char* part, const unsigned char* data, int64_t size
    ) noexcept nogil
