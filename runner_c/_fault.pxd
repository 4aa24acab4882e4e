cdef extern from *:
    """
    #ifdef RUNNER_C_FAULT_POINTS
    #define RC_HAS_FAULT_POINTS 1
    #else
    #define RC_HAS_FAULT_POINTS 0
    #endif
    """
    enum: RC_HAS_FAULT_POINTS

cpdef int fault_point(str name) except -1
