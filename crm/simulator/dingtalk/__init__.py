"""The dialect of DingTalk: routes and answers of both API generations, with the documented limits and codes."""
